"""The local cloud's object store: a directory of this machine, closed to everybody but the control plane's user."""

import errno
import hashlib
import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from coffer.catalogue.errors import StorageFailed
from coffer.clouds.object_store import Stored

LOG = logging.getLogger(__name__)

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class DirectoryUpload:
    """Implements `coffer.clouds.object_store.Upload`."""

    def __init__(self, handle: int, reserve_bytes: int) -> None:
        """Write to an open file as long as so much of its disk stays free."""
        self._handle = handle
        self._reserve_bytes = reserve_bytes
        self._hash = hashlib.sha256()
        self._size_bytes = 0

    def write(self, chunk: bytes) -> None:
        """See `Upload`."""
        left = memoryview(chunk)
        with _told():
            self._require_space(len(chunk))
            while left:
                left = left[os.write(self._handle, left) :]
        self._hash.update(chunk)
        self._size_bytes += len(chunk)

    def stored(self) -> Stored:
        """See `Upload`."""
        return Stored(size_bytes=self._size_bytes, checksum=self._hash.hexdigest())

    def _require_space(self, size_bytes: int) -> None:
        disk = os.fstatvfs(self._handle)
        if disk.f_bavail * disk.f_frsize - size_bytes < self._reserve_bytes:
            raise OSError(errno.ENOSPC, "free space is below the reserve")


class DirectoryStore:
    """Implements `coffer.clouds.object_store.ObjectStore`; safe from several threads and processes."""

    def __init__(self, root: Path, *, reserve_bytes: int = 0) -> None:
        """Keep objects below `root`, which need not exist yet, and leave so much of its disk to others.

        The servers of all instances may be on that disk, and crash when it is full.
        """
        self._root = root.absolute()
        self._reserve_bytes = reserve_bytes

    @contextmanager
    def writing(self, name: str) -> Iterator[DirectoryUpload]:
        """See `ObjectStore`."""
        path = self._path(name)
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.new")
        with _told():
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            try:
                yield DirectoryUpload(handle, self._reserve_bytes)
                with _told():
                    os.fsync(handle)
            finally:
                os.close(handle)
            with _told():
                draft.replace(path)
                for folder in (path.parent, self._root):
                    _sync(folder)
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)

    @contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """See `ObjectStore`."""
        with _told():
            stream = self._path(name).open("rb")
        with stream:
            yield stream

    def delete(self, folder: str) -> None:
        """See `ObjectStore`."""
        path = self._folder(folder)
        with _told(), suppress(FileNotFoundError):
            shutil.rmtree(path)

    def folders(self) -> Sequence[str]:
        """See `ObjectStore`."""
        with _told():
            try:
                names = [entry.name for entry in self._root.iterdir()]
            except FileNotFoundError:
                return []
        return sorted(name for name in names if _WORD.fullmatch(name))

    def _path(self, name: str) -> Path:
        folder, _, word = name.partition("/")
        if not _WORD.fullmatch(word):
            raise ValueError(f"{name!r} cannot be the name of an object")
        return self._folder(folder) / word

    def _folder(self, folder: str) -> Path:
        if not _WORD.fullmatch(folder):
            raise ValueError(f"{folder!r} cannot be the name of a folder")
        return self._root / folder


@contextmanager
def _told() -> Iterator[None]:
    """Tell the operator of a failure with its path, and the tenant without."""
    try:
        yield
    except OSError as error:
        LOG.error("backup storage failed path=%s error=%s", error.filename, error.strerror)  # noqa: TRY400
        if error.errno in _FULL:
            reason = "no space is left in it"
        elif error.errno == errno.ENOENT:
            reason = "the backup is not in it"
        else:
            reason = (error.strerror or type(error).__name__).lower()
        raise StorageFailed(reason=f"The storage of the backups failed: {reason}.") from error


def _sync(folder: Path) -> None:
    """Make a new name in a directory safe from a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
