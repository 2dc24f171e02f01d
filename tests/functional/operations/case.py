"""What a row of the table is: three cases of an operation, each of which makes one call and looks at what it did.

A case is a generator. It prepares what the call needs, yields the call with what it expects, is given what was
announced, and looks at the effects. What it switches off it switches on again itself: a `with` around the `yield`.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.functional.operations.stage import Stage

from coffer.wire.envelope import Notification

Traits = Mapping[str, object]


class _Anything:
    """Equals whatever it is held against: what the control plane chooses."""

    def __eq__(self, _other: object) -> bool:
        return True

    __hash__ = None

    def __repr__(self) -> str:
        return "anything"


ANYTHING = _Anything()


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call, what is answered, and what is to be announced of it.

    `starts` are the operation's own traits in each run's start: all of them, in the order of the items.
    """

    method: str
    path: str
    body: object = None
    answers: int = 202
    starts: Sequence[Traits]
    error: str | None = None
    """The `error_code` of every ending; None: they end well."""
    facts: Sequence[str] = ()
    """The status facts, without `trove.instance.`, in their order."""


@dataclass(frozen=True)
class Run:
    """What was announced of one run."""

    start: Notification
    ending: Notification


@dataclass(frozen=True)
class Told:
    """What a call was answered, and what was announced of it."""

    answer: Any
    runs: list[Run]
    facts: list[Notification] = field(default_factory=list)

    @property
    def start(self) -> Mapping[str, Any]:
        """The payload of the only start."""
        (run,) = self.runs
        return run.start.payload

    @property
    def error(self) -> str:
        """The sentence in the only `.error`."""
        (run,) = self.runs
        return str(run.ending.payload["message"])


Case = Callable[[Stage], Generator[Call, Told, None]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One operation."""

    operation: str
    success: Case
    user_fault: Case
    """Leaves nothing behind: that is looked after for every such case."""
    system_fault: Case
    """Something breaks for real; afterwards the tenant helps himself."""
