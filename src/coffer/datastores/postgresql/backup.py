"""Copies a running server's data into a stream: everything, or what has changed since another backup."""

import logging
import os
import selectors
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Final

from coffer.catalogue.errors import GuestFailed
from coffer.datastores.postgresql import process
from coffer.datastores.postgresql.manifest import ManifestCatcher
from coffer.datastores.postgresql.programs import IsGivenUp, Program, given_up, running, secret_file
from coffer.datastores.postgresql.reasons import readable, reason_from
from coffer.datastores.postgresql.rules import ADMIN
from coffer.datastores.postgresql.server import Server
from coffer.datastores.postgresql.session import Session
from coffer.datastores.postgresql.source import checkpoint

LOG = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 2**20
_LOOK_EVERY_S: Final = 0.5
_END_TIMEOUT_S: Final = 60.0
_GZIP: Final = zlib.MAX_WBITS | 16
_FASTEST: Final = 1

_REPLAY_TIMEOUT_S: Final = 60.0
_REPLAYED: Final = "select pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint >= %s"

Sink = Callable[[bytes], object]


def back_up(server: Server, sink: Sink, *, parent_manifest: bytes | None, is_given_up: IsGivenUp) -> bytes:
    """Stream a compressed archive into `sink`; return its manifest, which a backup that builds on it will need.

    Raises:
        GuestFailed: the server does not run, or stopped, or refused; or the work was given up.
    """
    place = server.place
    password_line = f"*:*:*:{ADMIN}:{server.admin_password()}\n".encode()
    catcher = ManifestCatcher()
    squeezer = zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP)

    def take(chunk: bytes) -> None:
        catcher.feed(chunk)
        sink(squeezer.compress(chunk))

    with (
        _explained(server),
        _wal_kept(server, is_incremental=parent_manifest is not None),
        secret_file(place, "backup.secret", password_line) as passfile,
        _on_disk(server, parent_manifest) as parent,
        running(
            place, _command(server, parent), stdout=subprocess.PIPE, environment=_environment(passfile)
        ) as program,
    ):
        _pump(program, take, is_given_up)
        if not program.ended(timeout_s=_END_TIMEOUT_S, is_given_up=is_given_up):
            raise GuestFailed(
                reason=f"The data could not be copied: {reason_from(program.complaints(), place)}."
            )
    sink(squeezer.flush())
    if catcher.manifest is None:
        raise GuestFailed(reason="The server sent a backup without a list of its files.")
    return catcher.manifest


def _command(server: Server, parent: Path | None) -> list[str]:
    tool, place = server.engine().tool("pg_basebackup"), server.place
    incremental = [] if parent is None else [f"--incremental={parent}"]
    return [
        *(tool, "-h", place.address, "-p", str(place.port), "-U", ADMIN, "-w"),
        *("-D", "-", "-F", "tar", "-X", "fetch", "-c", "fast", "-l", "coffer", *incremental),
    ]


def _environment(passfile: Path) -> dict[str, str]:
    return {"PGPASSFILE": str(passfile), "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}


def _pump(program: Program, take: Sink, is_given_up: IsGivenUp) -> None:
    """Carry what the program writes, to its end."""
    stream = program.child.stdout
    assert stream is not None
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if is_given_up():
                raise GuestFailed(reason=given_up())
            if not selector.select(_LOOK_EVERY_S):
                continue
            chunk = os.read(stream.fileno(), _CHUNK_BYTES)
            if not chunk:
                return
            take(chunk)


@contextmanager
def _wal_kept(server: Server, *, is_incremental: bool) -> Iterator[None]:
    """Keep the server from removing, while the backup is made, the log that belongs into it.

    The slot is gone with the session, so nothing keeps the log for ever if we are killed.
    """
    with server.session() as session:
        session.execute("select pg_create_physical_replication_slot('coffer_backup', true, true)")
        if is_incremental:
            _await_checkpoint(server, session)
        yield


def _await_checkpoint(server: Server, session: Session) -> None:
    """Have a replica get a checkpoint of its source; other servers make their own.

    A backup begins with the last checkpoint, and one that builds on another must begin behind the end of that.

    Raises:
        GuestFailed: the source does not answer, or the replica is too far behind.
    """
    source = server.standby.source()
    if source is None or session.execute("select pg_is_in_recovery()").fetchone() != (True,):
        return
    end = checkpoint(server.place, source)

    def replayed() -> bool:
        return session.execute(_REPLAYED, (end,)).fetchone() == (True,)

    if not process.wait_for(replayed, _REPLAY_TIMEOUT_S):
        raise GuestFailed(reason="The replica is too far behind its source for an incremental backup.")


def _on_disk(server: Server, manifest: bytes | None) -> AbstractContextManager[Path | None]:
    return nullcontext() if manifest is None else secret_file(server.place, "parent.manifest", manifest)


@contextmanager
def _explained(server: Server) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = readable(error.strerror or type(error).__name__, server.place)
        raise GuestFailed(reason=f"The backup could not be made: {said}.") from error
    except ValueError as error:
        raise GuestFailed(reason="The server sent something that is no backup.") from error
