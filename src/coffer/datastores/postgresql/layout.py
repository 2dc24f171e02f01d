"""Where the files of one instance lie, and who may touch them.

`data/` and `log/` are the instance's own: a tenant who became superuser runs programs as the instance's user.
Everything else belongs to the agent. So the agent, which may be root, opens a file of the instance by name
only here, and only if it is a plain file of that user with one name: never through a link.
"""

import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from coffer.datastores.driver import Place

_TAIL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one instance."""

    place: Place

    @property
    def data_dir(self) -> Path:
        """The server's data (0700, the instance's)."""
        return self.place.directory / "data"

    @property
    def draft_dir(self) -> Path:
        """Where `initdb` works; becomes `data_dir` when it is complete."""
        return self.place.directory / "data.new"

    @property
    def restore_dir(self) -> Path:
        """Where backups are unpacked and put together."""
        return self.place.directory / "restore"

    @property
    def log_dir(self) -> Path:
        """The server's log (0700, the instance's)."""
        return self.place.directory / "log"

    @property
    def log_file(self) -> Path:
        """Everything that the server says."""
        return self.log_dir / "postgresql.log"

    @property
    def conf_dir(self) -> Path:
        """The configuration: the agent's to write, the instance's group's to read."""
        return self.place.directory / "conf"

    @property
    def admin_file(self) -> Path:
        """The password of the administrator (0600, the agent's)."""
        return self.place.directory / "admin.secret"

    @property
    def next_admin_file(self) -> Path:
        """The administrator's password to be, while it becomes another one (0600, the agent's)."""
        return self.place.directory / "admin.secret.next"

    @property
    def replica_file(self) -> Path:
        """Whom a replica follows; no source has it (0600, the agent's)."""
        return self.place.directory / "replica.json"

    @property
    def replica_secret_file(self) -> Path:
        """What a replica logs in with (0600, the instance's)."""
        return self.place.directory / "replica.secret"

    @property
    def broken_file(self) -> Path:
        """Exists while the data are being made those of another server."""
        return self.place.directory / "broken"

    @property
    def prepared_file(self) -> Path:
        """Exists when `prepare` came to its end."""
        return self.place.directory / "prepared"

    @property
    def stopped_file(self) -> Path:
        """Exists while the server is meant to be down."""
        return self.place.directory / "stopped"

    def initialised(self) -> bool:
        """Return whether there is a complete data directory."""
        return (self.data_dir / "PG_VERSION").is_file()

    def make_own(self, path: Path) -> None:
        """Make a directory (0700) of the instance's user, unless it is there."""
        path.mkdir(mode=0o700, exist_ok=True)
        self._chown(path, self.place.uid, self.place.gid)

    def make_conf(self) -> None:
        """Make the configuration directory."""
        for path in (self.conf_dir, self.conf_dir / "conf.d"):
            path.mkdir(exist_ok=True)
            path.chmod(0o750)  # by itself, since the umask takes from a mode that is given to mkdir
            self._chown(path, None, self.place.gid)

    def write_conf(self, name: str, text: str) -> None:
        """Write a configuration file, whole or not at all, readable by the instance's group."""
        write_whole(self.conf_dir / name, text, mode=0o640, gid=self.place.gid)

    def give_to(self, path: Path, uid: int | None, gid: int | None) -> None:
        """Make a user the owner of everything below `path`; None: nobody changes."""
        for folder, _, names in os.walk(path):
            for name in names:
                self._chown(Path(folder) / name, uid, gid)
            self._chown(Path(folder), uid, gid)

    def remove_draft(self) -> None:
        """Remove what an `initdb` that broke left behind."""
        if self.draft_dir.exists():
            shutil.rmtree(self.draft_dir)

    def remove_data(self) -> None:
        """Remove the data of a server that is down."""
        if self.data_dir.exists():
            shutil.rmtree(self.data_dir)

    def read_tail(self, path: Path, *, from_byte: int = 0) -> str:
        """Return the end (64 KiB at most) of a file of the instance's user; "" if there is no such file."""
        with suppress(OSError):
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as stream:
                found = os.fstat(handle)
                if not self._is_own_file(found):
                    return ""
                stream.seek(max(from_byte, found.st_size - _TAIL_BYTES))
                return stream.read(_TAIL_BYTES).decode(errors="replace")
        return ""

    def trim(self, path: Path, *, limit_bytes: int) -> None:
        """Empty a file of the instance's user that grew beyond the limit, except for its end."""
        with suppress(OSError):
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(handle, "r+b") as stream:
                found = os.fstat(handle)
                if not self._is_own_file(found) or found.st_size <= limit_bytes:
                    return
                stream.seek(-_TAIL_BYTES, os.SEEK_END)
                tail = stream.read()
                # The server appends (O_APPEND), so it goes on behind whatever the file's end is.
                stream.truncate(0)
                stream.seek(0)
                stream.write(tail)

    def size_of(self, path: Path) -> int:
        """Return the size of a file in bytes, 0 if there is none."""
        try:
            return path.lstat().st_size
        except OSError:
            return 0

    def _is_own_file(self, found: os.stat_result) -> bool:
        owner = os.geteuid() if self.place.uid is None else self.place.uid
        return stat.S_ISREG(found.st_mode) and found.st_uid == owner and found.st_nlink == 1

    @staticmethod
    def _chown(path: Path, uid: int | None, gid: int | None) -> None:
        if uid is not None or gid is not None:
            os.chown(path, -1 if uid is None else uid, -1 if gid is None else gid, follow_symlinks=False)


def write_whole(
    path: Path, text: str, *, mode: int = 0o600, uid: int | None = None, gid: int | None = None
) -> None:
    """Write a file of the agent, or of a `uid`, so that a reader, or a crash, meets the old text or the new one.

    Raises:
        OSError: it could not be written; an older file is unharmed.
    """
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            if uid is not None or gid is not None:
                os.fchown(handle, -1 if uid is None else uid, -1 if gid is None else gid)
            os.fchmod(handle, mode)
            stream.write(text)
            stream.flush()
            os.fsync(handle)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
