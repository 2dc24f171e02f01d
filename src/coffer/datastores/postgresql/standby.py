"""What makes a server a replica: three files beside its data, and one in them.

Whom it follows is the agent's to know (`replica.json`); the password that it logs in with lies in a file that only the
instance's user, and root, can read, and nowhere else. The file `standby.signal` in the data, which the server looks
for when it starts, is written anew at each start: the tenant's superuser could remove or make it.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from coffer.catalogue.errors import GuestFailed
from coffer.datastores.driver import Source
from coffer.datastores.postgresql import controldata
from coffer.datastores.postgresql.controldata import ControlData
from coffer.datastores.postgresql.layout import Layout, write_whole
from coffer.datastores.postgresql.locator import Engine
from coffer.datastores.postgresql.programs import output_of
from coffer.datastores.postgresql.settings import kept_log_mib, postgresql_lines

_SIGNALS: Final = ("standby.signal", "recovery.signal")
_CONF_NAME: Final = "conf.d/zy-replica.conf"
_ASK_TIMEOUT_S: Final = 20.0
_NOT_WHOLE: Final = "The data of this instance are not whole: what should have made it a replica broke off."


@dataclass(frozen=True, slots=True)
class Link:
    """Whom a replica follows. `is_leaving` from the moment on at which it may have become a source itself."""

    address: str
    port: int
    user: str
    slot: str
    is_leaving: bool = False


class Standby:
    """The replica in a server, if there is one. What was decided lies in files: whoever comes later goes on with it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def link(self) -> Link | None:
        """Return whom the server follows, None for a source.

        Raises:
            GuestFailed: the file is damaged.
        """
        try:
            return Link(**json.loads(self._layout.replica_file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise GuestFailed(reason="Whom this replica follows cannot be read.") from error

    def source(self) -> Source | None:
        """Return whom the server follows, with what it logs in with there, but no administrator's password.

        Raises:
            GuestFailed: the files are damaged.
        """
        link = self.link()
        if link is None:
            return None
        line = self._layout.read_tail(self._layout.replica_secret_file)
        return Source(
            address=link.address,
            port=link.port,
            user=link.user,
            password=line.strip().rpartition(":")[2],
            slot=link.slot,
            administrator_password="",
        )

    def follow(self, source: Source) -> None:
        """Note whom the server is to follow; it counts at its next start, or when it reads its files again.

        Raises:
            OSError: it could not be written.
        """
        layout = self._layout
        write_whole(
            layout.replica_secret_file,
            f"*:*:*:{source.user}:{source.password}\n",
            uid=layout.place.uid,
            gid=layout.place.gid,
        )
        layout.make_conf()
        layout.write_conf(_CONF_NAME, self._configuration(source))
        self._write(Link(address=source.address, port=source.port, user=source.user, slot=source.slot))

    def leave(self) -> None:
        """Note that the server is about to become a source.

        Raises:
            GuestFailed, OSError.
        """
        link = self.link()
        if link is not None:
            self._write(replace(link, is_leaving=True))

    def forget(self) -> None:
        """Remove all that made the server a replica; idempotent.

        Raises:
            OSError: a file could not be removed.
        """
        (self._layout.conf_dir / _CONF_NAME).unlink(missing_ok=True)
        self._layout.replica_secret_file.unlink(missing_ok=True)
        # The last one: as long as it is there, somebody will come and go on.
        self._layout.replica_file.unlink(missing_ok=True)

    def conninfo(self, source: Source) -> str:
        """Return how the server connects to a source, without the password."""
        words = {
            "host": source.address,
            "port": str(source.port),
            "user": source.user,
            "passfile": str(self._layout.replica_secret_file),
            "application_name": source.slot,
            "connect_timeout": "10",
            "sslmode": "disable",
            "gssencmode": "disable",
        }
        return " ".join(f"{name}={_quoted(value)}" for name, value in words.items())

    def limits(self, engine: Engine) -> Mapping[str, int]:
        """Return what the server needs at least of some parameters; nothing for a source.

        Raises:
            GuestFailed: its data do not say.
        """
        control = self._control(engine)
        return {} if control is None else control.limits

    def make_ready(self, engine: Engine, options: Sequence[str]) -> list[str]:
        """Make the data, before the server starts, those of what it is; return options beyond `options`.

        Raises:
            GuestFailed: the data are not whole, or do not say how they are.
            OSError: the file could not be written.
        """
        if self._layout.broken_file.exists():
            raise GuestFailed(reason=_NOT_WHOLE)
        control = self._control(engine)
        for name in _SIGNALS:
            (self._layout.data_dir / name).unlink(missing_ok=True)
        if control is None:
            return []
        self._signal()
        found = {"hot_standby": "on", "wal_keep_size": f"{kept_log_mib(self._layout.place.volume_gib)}MB"}
        for name, needed in control.limits.items():
            if self._own(engine, options, name) < needed:
                found[name] = str(needed)
        return [word for name, value in found.items() for word in ("-c", f"{name}={value}")]

    def _control(self, engine: Engine) -> ControlData | None:
        """Return what the data of a replica say; None for a source."""
        link = self.link()
        if link is None:
            return None
        control = controldata.read(self._layout, engine)
        # Promoted, and nobody has noted it yet.
        return None if link.is_leaving and not control.is_in_recovery else control

    def _own(self, engine: Engine, options: Sequence[str], name: str) -> int:
        command = [engine.tool("postgres"), "-D", str(self._layout.data_dir), "-C", name, *options]
        try:
            return int(output_of(self._layout.place, command, timeout_s=_ASK_TIMEOUT_S))
        except ValueError as error:
            raise GuestFailed(reason=f"The server does not say what its {name} is.") from error

    def _signal(self) -> None:
        path = self._layout.data_dir / _SIGNALS[0]
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            if self._layout.place.uid is not None:
                os.fchown(handle, self._layout.place.uid, -1)
        finally:
            os.close(handle)

    def _configuration(self, source: Source) -> str:
        lines = postgresql_lines(
            {
                "primary_conninfo": self.conninfo(source),
                "primary_slot_name": source.slot,
                # A replica refuses every statement of a serializable transaction, which a group may have made usual.
                "default_transaction_isolation": "repeatable read",
            }
        )
        return "\n".join(["# Written by coffer: whom this replica follows.", *lines, ""])

    def _write(self, link: Link) -> None:
        write_whole(self._layout.replica_file, json.dumps(asdict(link)))


def _quoted(value: str) -> str:
    """Return a value as it stands in a connection string."""
    inside = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{inside}'"
