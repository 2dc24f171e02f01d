"""What an event is: its type, its severity and the facts it carries, as one row of data."""

from dataclasses import dataclass
from enum import StrEnum

from coffer.catalogue.traits import Trait


class Severity(StrEnum):
    """The priority that an event is sent with; it decides the queue: `notifications.info` or `.error`."""

    INFO = "info"
    ERROR = "error"


class Phase(StrEnum):
    """A run has one start, and then one end or one error."""

    START = "start"
    END = "end"
    ERROR = "error"


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One kind of announcement. `operation`, `phase` and `rest` are None for a status notification.

    A row is equal to itself only, so that what is worked out for a row can be looked up by it.
    """

    event_type: str
    severity: Severity
    operation: str | None
    phase: Phase | None
    traits: tuple[Trait, ...]
    """The specification's."""
    extension_traits: tuple[Trait, ...]
    """Ours, beyond the specification."""
    rest: str | None
    sentence: str

    @property
    def all_traits(self) -> tuple[Trait, ...]:
        """The documented traits, then ours."""
        return (*self.traits, *self.extension_traits)
