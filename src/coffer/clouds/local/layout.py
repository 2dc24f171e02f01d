"""Where the local cloud keeps what, below its root directory.

```
ROOT/                     traversable by everybody, so that a server reaches its own directory
  cloud/                  the cloud's own books: locks, the next user id
  instances/ID/           root's (or the control plane user's)
    guest.json            what the agent is told; see guest_config
    credentials.json      what it proves itself with, and
    agent.conf            how it is set up; see entrusted
    guestagent.{pid,log}  of the agent's process; see launcher
    journal/              the agent's: runs that it has not reported yet
    data/ log/            the instance user's own, closed to all others
```
"""

import fcntl
import logging
import os
import re
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coffer.catalogue.errors import CloudFailed

LOG = logging.getLogger(__name__)

_LONGEST_LOG = 500
_LOCK_POLL_S = 0.02
_STRIPES = 64
_INSTANCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one local cloud, and the locks that its control planes, threads and processes, share."""

    root: Path

    @property
    def instances(self) -> Path:
        """The directory of all instances."""
        return self.root / "instances"

    @property
    def books(self) -> Path:
        """The directory of the cloud's own files."""
        return self.root / "cloud"

    def guest_dir(self, instance_id: str) -> Path:
        """Return the directory of one instance, whether it exists or not.

        Raises:
            ValueError: such an id cannot be one of ours and might lead out of the directory.
        """
        if not _INSTANCE_ID.fullmatch(instance_id):
            raise ValueError(f"{instance_id!r} is not an id of an instance")
        return self.instances / instance_id

    def instance_ids(self) -> list[str]:
        """Return the ids that have a directory, in order.

        Raises:
            OSError: the directory of all instances cannot be listed.
        """
        try:
            names = [entry.name for entry in self.instances.iterdir()]
        except FileNotFoundError:
            return []
        return sorted(name for name in names if _INSTANCE_ID.fullmatch(name))

    def make(self, *, traversable: bool) -> None:
        """Make the directories that all instances share, where they are missing.

        Raises:
            OSError: one cannot be made.
        """
        self.make_books(traversable=traversable)
        make_dir(self.instances, _shared_mode(traversable=traversable))

    def make_books(self, *, traversable: bool) -> None:
        """Make what the locks need, and no more.

        Raises:
            OSError: a directory cannot be made.
        """
        if not self.root.exists():
            self.root.mkdir(parents=True)
            self.root.chmod(_shared_mode(traversable=traversable))
        make_dir(self.books, 0o700)

    @contextmanager
    def allocating(self, timeout_s: float) -> Iterator[None]:
        """Hold the lock under which user ids and ports are given away.

        Raises:
            CloudFailed: somebody else held it all the time.
            OSError: the lock file cannot be opened.
        """
        with _locked(self.books / "allocation.lock", timeout_s):
            yield

    @contextmanager
    def changing(self, instance_id: str, timeout_s: float) -> Iterator[None]:
        """Hold the lock under which one instance is made or removed; few other instances share it.

        Raises:
            CloudFailed: somebody else held it all the time.
            OSError: the lock file cannot be opened.
        """
        stripe = zlib.crc32(instance_id.encode()) % _STRIPES
        with _locked(self.books / f"instances-{stripe:02}.lock", timeout_s):
            yield


def _shared_mode(*, traversable: bool) -> int:
    return 0o711 if traversable else 0o700


def make_dir(path: Path, mode: int) -> None:
    """Make a directory with exactly these permissions, whatever the umask; one that exists gets them, too.

    Raises:
        OSError: it cannot be made, or something else stands in its place.
    """
    path.mkdir(exist_ok=True)
    path.chmod(mode)


def erase(path: Path, *, timeout_s: float) -> None:
    """Remove a directory with all that is in it; following no link; one that is not there is removed already.

    Raises:
        CloudFailed: something is left.
    """
    if not os.path.lexists(path):
        return
    # Not shutil.rmtree: a tenant can nest directories deeper than Python's stack and its open files reach.
    try:
        ended = subprocess.run(
            ["rm", "-rf", "--", str(path)], capture_output=True, timeout=timeout_s, check=False, cwd="/"
        )
        said = ended.stderr.decode(errors="replace")[:_LONGEST_LOG]
    except subprocess.TimeoutExpired:
        said = f"not finished within {timeout_s} s"
    if os.path.lexists(path):
        LOG.error("cannot remove path=%s error=%s", path, said)
        raise CloudFailed(reason="The instance's directory cannot be removed.")


@contextmanager
def _locked(path: Path, timeout_s: float) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(handle, timeout_s)
        yield
    finally:
        # Closing gives the lock back, as does the death of the process.
        os.close(handle)


def _acquire(handle: int, timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= until:
                raise CloudFailed(reason="The machine is busy with other work on instances.") from error
            time.sleep(_LOCK_POLL_S)
        else:
            return
