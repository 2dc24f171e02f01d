"""Runs PostgreSQL's own programs as the instance's user, for as long as somebody still wants what they do.

They read and write what belongs to a tenant, who may have put anything there; so they have his rights and no more.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from coffer.catalogue.errors import GuestFailed
from coffer.datastores.driver import Place
from coffer.datastores.postgresql import process
from coffer.datastores.postgresql.reasons import reason_from

_COMPLAINTS_LIMIT: Final = 64 * 1024
_PIPE_BYTES: Final = 2**20

IsGivenUp = Callable[[], bool]
"""Asked now and then: whether nobody wants the work to be finished any more."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that runs; its standard error goes to a file."""

    child: process.Child
    _complaints: IO[bytes]

    def ended(self, *, timeout_s: float, is_given_up: IsGivenUp) -> bool:
        """Wait for the program's end; return whether all went well.

        Raises:
            GuestFailed: it takes too long, or was given up.
        """
        over = process.wait_for(lambda: self.child.poll() is not None or is_given_up(), timeout_s)
        if self.child.poll() is None:
            raise GuestFailed(reason=given_up() if over else f"It was not done within {timeout_s:.0f} s.")
        return self.child.returncode == 0

    def complaints(self) -> str:
        """Return the end of what it wrote to its standard error."""
        size = self._complaints.seek(0, os.SEEK_END)
        self._complaints.seek(max(0, size - _COMPLAINTS_LIMIT))
        return self._complaints.read().decode(errors="replace")


def given_up() -> str:
    """Return the reason of what was not finished because its agent has to go."""
    return "The guest agent was stopped in the middle of it."


def while_there_is_space(place: Place, is_given_up: IsGivenUp) -> IsGivenUp:
    """Return what asks `is_given_up`, and raises GuestFailed when a copy takes what others need of the disk."""

    def asked() -> bool:
        disk = os.statvfs(place.directory)
        if disk.f_bavail * disk.f_frsize < place.engines.reserve_bytes:
            raise GuestFailed(reason="The data could not be copied: no space is left on the machine.")
        return is_given_up()

    return asked


@contextmanager
def running(
    place: Place,
    command: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
    working_dir: Path = Path("/"),
) -> Iterator[Program]:
    """Run a program for the block; whatever of it is left then, its children included, is killed.

    What it works in shows (`process.members`) who is left of it where we were killed in the middle.

    Raises:
        OSError: there is no such program, or the user may not run it.
    """
    with tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=complaints,
            cwd=working_dir,
            env={**process.ENVIRONMENT, **(environment or {})},
            start_new_session=True,
            umask=0o077,
            pipesize=_PIPE_BYTES,
            user=place.uid,
            group=place.uid if place.gid is None else place.gid,
            extra_groups=None if place.uid is None else (),
        )
        try:
            yield Program(child, complaints)
        finally:
            _bury(child)


def output_of(place: Place, command: Sequence[str], *, timeout_s: float) -> str:
    """Run a program that answers at once; return what it wrote to its standard output.

    Raises:
        GuestFailed: it could not be run, was not done in time, or failed, with its reason.
    """
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            cwd="/",
            env=dict(process.ENVIRONMENT),
            user=place.uid,
            group=place.uid if place.gid is None else place.gid,
            extra_groups=None if place.uid is None else (),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GuestFailed(reason="A program of the database server does not answer.") from error
    if done.returncode != 0:
        raise GuestFailed(
            reason=f"The database server's data cannot be read: {reason_from(done.stderr, place)}."
        )
    return done.stdout


@contextmanager
def secret_file(place: Place, name: str, content: bytes) -> Iterator[Path]:
    """Keep a file in the instance's directory for the block that only the instance's user, and root, can read.

    Raises:
        OSError: it cannot be written.
    """
    path = place.directory / name
    path.unlink(missing_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            if place.uid is not None:
                os.fchown(handle, place.uid, place.uid if place.gid is None else place.gid)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _bury(child: process.Child) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    # The number is still its, and its group's: it has not been waited for.
    with suppress(ProcessLookupError, PermissionError):
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()
