"""What a data directory says of itself, whether or not its server runs.

The file is the tenant's as soon as he is superuser. So it is read by the server's own program with his rights, and
what it says is believed about his own server only.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from coffer.catalogue.errors import GuestFailed
from coffer.datastores.postgresql.layout import Layout
from coffer.datastores.postgresql.locator import Engine
from coffer.datastores.postgresql.programs import output_of

_TIMEOUT_S: Final = 20.0
_LIMITS: Final[Mapping[str, str]] = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}
"""The parameters that a replica must not have lower than its source, and what the program calls them."""
LIMITS: Final = tuple(_LIMITS)
_LSN: Final = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


@dataclass(frozen=True, slots=True)
class ControlData:
    """The state of a data directory; `checkpoint` is a place in the log, `limits` are those of the source."""

    system_id: int
    state: str
    checkpoint: int
    timeline: int
    limits: Mapping[str, int]

    @property
    def ended_cleanly(self) -> bool:
        """Whether it was a source that was stopped, and whose checkpoint is the end of its log."""
        return self.state == "shut down"

    @property
    def is_in_recovery(self) -> bool:
        """Whether its server was a replica the last time it wrote here."""
        return self.state in {"in archive recovery", "shut down in recovery"}


def read(layout: Layout, engine: Engine) -> ControlData:
    """Ask a data directory how it is.

    Raises:
        GuestFailed: there is none, or it is damaged.
    """
    command = [engine.tool("pg_controldata"), "-D", str(layout.data_dir)]
    return parse(output_of(layout.place, command, timeout_s=_TIMEOUT_S))


def parse(text: str) -> ControlData:
    """Read what `pg_controldata` prints; pure.

    Raises:
        GuestFailed: it is something else.
    """
    found = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())
    }
    try:
        return ControlData(
            system_id=int(found["Database system identifier"]),
            state=found["Database cluster state"],
            checkpoint=lsn_number(found["Latest checkpoint location"]),
            timeline=int(found["Latest checkpoint's TimeLineID"]),
            limits={name: int(found[label]) for name, label in _LIMITS.items()},
        )
    except (KeyError, ValueError) as error:
        raise GuestFailed(reason="The data directory of this instance does not say how it is.") from error


def lsn_number(text: str) -> int:
    """Return a place in the log, `16/B374D848`, as a number.

    Raises:
        ValueError: it is something else.
    """
    found = _LSN.fullmatch(text)
    if found is None:
        raise ValueError("no place in a log")
    return int(found[1], 16) << 32 | int(found[2], 16)
