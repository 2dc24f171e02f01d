"""Makes the data directory of a new server from backups, complete or not at all.

What an archive holds was written by a server whose tenant may have been its superuser. So it is unpacked, put
together and looked at by programs with the rights of the instance's user, in directories that lead nowhere else.
"""

import logging
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psycopg

from coffer.catalogue.errors import BackupDamaged, GuestFailed
from coffer.datastores.driver import Archive
from coffer.datastores.postgresql import process
from coffer.datastores.postgresql.layout import Layout
from coffer.datastores.postgresql.locator import Engine
from coffer.datastores.postgresql.programs import (
    IsGivenUp,
    Program,
    given_up,
    running,
    secret_file,
    while_there_is_space,
)
from coffer.datastores.postgresql.reasons import readable, reason_from
from coffer.datastores.postgresql.rules import ADMIN, MAINTENANCE_DATABASE, ROOT
from coffer.datastores.postgresql.session import Session, explained, open_session, run, verifier

LOG = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 2**20
_STEP_TIMEOUT_S: Final = 1800.0
_SOCKET_NAME_BYTES: Final = len("/.s.PGSQL.65535")
_SOCKET_PATH_BYTES: Final = 107
"""What the kernel takes."""
_SIGNALS: Final = ("standby.signal", "recovery.signal")
"""Files that would make the new server wait for another one that it was once a replica of."""


class Restoration:
    """One restoration; `data` becomes the data directory when everything else has been done."""

    def __init__(self, layout: Layout, engine: Engine, is_given_up: IsGivenUp) -> None:
        self._layout = layout
        self._engine = engine
        self._is_given_up = while_there_is_space(layout.place, is_given_up)
        self._folder = layout.restore_dir

    def run(self, archives: Sequence[Archive], *, password: str, options: Sequence[str]) -> None:
        """Make the data directory from a full backup and those that build on it, in order.

        Args:
            archives: the backups.
            password: what the administrator is to have; the backup's own is nobody's business any more.
            options: the server's command line options.

        Raises:
            GuestFailed: no space, no permission, not in time.
            BackupDamaged: the backups do not add up.
        """
        with self._explained():
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir()
            self._folder.chmod(0o711)
            try:
                data = self._whole(archives)
                self._verify(data, archives[-1])
                for name in _SIGNALS:
                    (data / name).unlink(missing_ok=True)
                self._take_over(data, password, options)
                data.rename(self._layout.data_dir)
            finally:
                shutil.rmtree(self._folder, ignore_errors=True)
        LOG.info(
            "data directory restored instance_id=%s backups=%d", self._layout.place.instance_id, len(archives)
        )

    def _whole(self, archives: Sequence[Archive]) -> Path:
        """Unpack the backups and put them together; return where."""
        folders = [self._unpacked(archive, str(number)) for number, archive in enumerate(archives)]
        if len(folders) == 1:
            return folders[0]
        whole = self._new_folder("whole")
        command = [self._engine.tool("pg_combinebackup"), *map(str, folders), "-o", str(whole)]
        self._run(command, archives[-1], "the backups that it builds on do not fit")
        for folder in folders:
            shutil.rmtree(folder)
        return whole

    def _unpacked(self, archive: Archive, name: str) -> Path:
        folder = self._new_folder(name)
        place = self._layout.place
        command = ["tar", "-x", "-z", "-f", "-", "-C", str(folder)]
        with archive.open() as stream, running(place, command, stdin=subprocess.PIPE) as program:
            pipe = program.child.stdin
            assert pipe is not None
            try:
                while chunk := stream.read(_CHUNK_BYTES):
                    if self._is_given_up():
                        raise GuestFailed(reason=given_up())
                    pipe.write(chunk)
                pipe.close()
            except BrokenPipeError:
                pass  # the program says why
            if not program.ended(timeout_s=_STEP_TIMEOUT_S, is_given_up=self._is_given_up):
                raise _refusal(archive, "it cannot be unpacked", program.complaints(), self._layout)
        return folder

    def _verify(self, data: Path, archive: Archive) -> None:
        """Hold the files against the list of them."""
        command = [self._engine.tool("pg_verifybackup"), "--quiet", str(data)]
        self._run(command, archive, "its files are not those that were copied")

    def _take_over(self, data: Path, password: str, options: Sequence[str]) -> None:
        """Replay the log, and make the administrator ours again, whatever a superuser has made of him.

        The server that does it is one that nobody but us can reach: it listens on a socket in a directory of the
        instance's user, where it asks for no password.
        """
        place = self._layout.place
        with (
            self._socket_dir() as socket_dir,
            secret_file(place, "restore.hba", b"local all all trust\n") as hba_file,
        ):
            private = {
                "listen_addresses": "",
                "unix_socket_directories": socket_dir,
                "unix_socket_permissions": "0700",
                "hba_file": str(hba_file),
            }
            words = [word for name, value in private.items() for word in ("-c", f"{name}={value}")]
            command = [self._engine.tool("postgres"), "-D", str(data), *options, *words]
            with running(place, command) as program:
                self._appoint(socket_dir, password, program)
                program.child.send_signal(signal.SIGINT)
                if not program.ended(timeout_s=_STEP_TIMEOUT_S, is_given_up=self._is_given_up):
                    raise self._not_taken_over(program)

    @contextmanager
    def _socket_dir(self) -> Iterator[str]:
        """Make a directory for a socket that only the instance's user, and root, can reach."""
        inside = self._folder / "socket"
        if len(os.fsencode(inside)) + _SOCKET_NAME_BYTES <= _SOCKET_PATH_BYTES:
            self._layout.make_own(inside)
            yield str(inside)
            return
        with tempfile.TemporaryDirectory(prefix="coffer-") as outside:
            self._layout.give_to(Path(outside), self._layout.place.uid, self._layout.place.gid)
            yield outside

    def _appoint(self, socket_dir: str, password: str, program: Program) -> None:
        """Wait for the server, and give the administrator his rights and his new password."""
        place = self._layout.place
        with explained(place), self._session(socket_dir, program) as session:
            run(
                session,
                "alter role {} with superuser createdb createrole replication bypassrls login"
                " connection limit -1 valid until 'infinity' password {password}",
                ADMIN,
                password=verifier(session, ADMIN, password),
            )

    def _session(self, socket_dir: str, program: Program) -> Session:
        """Log in as the administrator, or where a superuser has locked him out, as that superuser."""
        found: list[Session] = []

        def settled() -> bool:
            if program.child.poll() is not None or self._is_given_up():
                return True
            for user in (ADMIN, ROOT):
                with suppress(psycopg.OperationalError):
                    found.append(
                        open_session(self._layout.place, "", MAINTENANCE_DATABASE, at=socket_dir, user=user)
                    )
                    return True
            return False

        if process.wait_for(settled, _STEP_TIMEOUT_S) and self._is_given_up():
            raise GuestFailed(reason=given_up())
        if not found:
            raise self._not_taken_over(program)
        return found[0]

    def _not_taken_over(self, program: Program) -> GuestFailed:
        reason = reason_from(program.complaints(), self._layout.place)
        return GuestFailed(reason=f"The restored data could not be taken over: {reason}.")

    def _run(self, command: Sequence[str], archive: Archive, meaning: str) -> None:
        with running(self._layout.place, command) as program:
            if not program.ended(timeout_s=_STEP_TIMEOUT_S, is_given_up=self._is_given_up):
                raise _refusal(archive, meaning, program.complaints(), self._layout)

    def _new_folder(self, name: str) -> Path:
        path = self._folder / name
        self._layout.make_own(path)
        return path

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            said = readable(error.strerror or type(error).__name__, self._layout.place)
            raise GuestFailed(reason=f"The backup could not be restored: {said}.") from error


def _refusal(archive: Archive, meaning: str, said: str, layout: Layout) -> GuestFailed | BackupDamaged:
    """Return what to say when a program did not want a backup: our disk may be full, or the backup be damaged."""
    reason = reason_from(said, layout.place)
    LOG.error(
        "backup refused instance_id=%s backup_id=%s said=%s", layout.place.instance_id, archive.name, reason
    )
    if "no space is left" in reason or "No space left" in said:
        return GuestFailed(reason="The backup could not be restored: no space is left on the device.")
    return BackupDamaged(id=archive.name, reason=meaning)
