"""The states of an instance, and which operation moves it from where to where."""

from dataclasses import dataclass
from enum import StrEnum


class InstanceState(StrEnum):
    """What `status` says of an instance in the REST API. Source: trove-protocol reference, section 3.1."""

    BUILD = "BUILD"
    ACTIVE = "ACTIVE"
    REBOOT = "REBOOT"
    RESIZE = "RESIZE"
    RESTART_REQUIRED = "RESTART_REQUIRED"
    PROMOTE = "PROMOTE"
    EJECT = "EJECT"
    DETACH = "DETACH"
    BACKUP = "BACKUP"
    SHUTDOWN = "SHUTDOWN"
    """The instance is being deleted (Trove's word for it)."""
    ERROR = "ERROR"
    DELETED = "DELETED"
    """Gone; the row stays for the bill, the API answers 404."""


class ServiceStatus(StrEnum):
    """What the guest last said of its server; `operating_status` in the REST API."""

    NEW = "NEW"
    BUILDING = "BUILD"
    HEALTHY = "HEALTHY"
    SHUTDOWN = "SHUTDOWN"
    CRASHED = "CRASHED"
    UNKNOWN = "ERROR"


class BackupState(StrEnum):
    """What `status` says of a backup in the REST API; all but DELETING are Trove's."""

    NEW = "NEW"
    BUILDING = "BUILDING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    DELETING = "DELETING"
    """Going, with all that build on it: nothing can build on it any more."""
    DELETE_FAILED = "DELETE_FAILED"
    """Something of it may be left; deleting it again goes on."""


@dataclass(frozen=True, slots=True)
class Move:
    """How an operation moves its instance.

    The operation is refused unless the instance is in one of `allowed` (empty: there is none yet). `during`
    is the state while the run is open, None: as it was. `end` and `error` are the states after it, None: as
    it was before the run began.
    """

    allowed: frozenset[InstanceState]
    during: InstanceState | None = None
    end: InstanceState | None = None
    error: InstanceState | None = None


USABLE = frozenset({InstanceState.ACTIVE, InstanceState.RESTART_REQUIRED})
"""The states in which an operation on the instance as a whole may begin."""

SERVING = USABLE | {InstanceState.BACKUP}
"""The states in which a tenant works with the databases and users of an instance."""

UNFINISHED = frozenset({BackupState.NEW, BackupState.BUILDING})
"""The states of a backup that is being made."""
