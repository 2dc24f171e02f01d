"""What an operation is: a kind of state-changing API call, as one row of data."""

from dataclasses import dataclass
from enum import StrEnum

from coffer.catalogue.states import Move
from coffer.catalogue.traits import Trait


class ServerType(StrEnum):
    """Which service wrote an event; the trait `server_type`. A guest's report is written by the conductor."""

    API = "api"
    TASK = "task"
    CONDUCTOR = "conductor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One kind of state-changing API call, and the three events that tell of it.

    `start`, `end` and `error` hold the specification's traits of each phase, `extension` ours of the start,
    beyond those that every event of a run has. What identifies the subject is repeated in both endings.
    """

    name: str
    sentence: str
    rest: str
    """Method and path that python-troveclient really sends; the specification's are sometimes others."""
    body: str = ""
    """The request body where it, and not the path, tells the operations of one path apart."""
    python_api: str
    ended_by: ServerType
    """Who ends a successful run; a failed one is ended by whoever notices."""
    deadline_s: int
    subject: str
    """`instance`, `cluster`, `backup` or `configuration`: what the run changes."""
    start: tuple[Trait, ...] = ()
    end: tuple[Trait, ...] = ()
    error: tuple[Trait, ...] = ()
    extension: tuple[Trait, ...] = ()
    move: Move | None = None
    """How the subject instance is moved; None if no instance's state is involved."""
    item_trait: str | None = None
    """The trait in which the runs of a call with several items differ; None: one run a call."""
    resumable: bool = False
    """Idempotent and free of secrets: an orphaned run is dispatched again instead of failed."""
    built: bool = False
    """The API serves it today."""
