"""The catalogue's self-check, run when the events are imported: a table that contradicts itself fails."""

from collections import Counter
from collections.abc import Iterable, Sequence

from coffer.catalogue.event import Event, Phase, Severity
from coffer.catalogue.operation import Operation, ServerType
from coffer.catalogue.traits import TraitType

EVENT_COUNT = 93
DOCUMENTED_PAIRS = 656
"""How many (event, documented trait) pairs the specification has; ours are not counted."""

SUBJECTS = frozenset({"instance", "cluster", "backup", "configuration"})
_SECRET_WORDS = ("password", "passwd", "secret", "token")


class CatalogueError(Exception):
    """The catalogue contradicts itself; says everything that is wrong with it."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep `problems`, one sentence each."""
        self.problems = tuple(problems)
        super().__init__("the catalogue contradicts itself: " + "; ".join(problems))


def check(operations: Sequence[Operation], events: Sequence[Event]) -> None:
    """Check the tables against themselves.

    Raises:
        CatalogueError: with every problem found.
    """
    problems = [*_operations_problems(operations), *_events_problems(events)]
    problems += _coverage_problems(operations, events)
    if problems:
        raise CatalogueError(problems)


def _operations_problems(operations: Sequence[Operation]) -> Iterable[str]:
    yield from _repeated("operation", (operation.name for operation in operations))
    for operation in operations:
        if operation.ended_by not in frozenset(ServerType):
            yield f"{operation.name} is ended by {operation.ended_by}, which is no server type"
        if operation.subject not in SUBJECTS:
            yield f"{operation.name} has the subject {operation.subject}"
        if operation.deadline_s <= 0:
            yield f"{operation.name} has no deadline"
        if operation.item_trait not in {None, *(trait.name for trait in operation.start)}:
            yield f"{operation.name} has the item {operation.item_trait}, which its start does not carry"


def _events_problems(events: Sequence[Event]) -> Iterable[str]:
    yield from _repeated("event", (event.event_type for event in events))
    if len(events) != EVENT_COUNT:
        yield f"there are {len(events)} events, not {EVENT_COUNT}"
    pairs = sum(len(event.traits) for event in events)
    if pairs != DOCUMENTED_PAIRS:
        yield f"there are {pairs} documented pairs of event and trait, not {DOCUMENTED_PAIRS}"
    for event in events:
        yield from _event_problems(event)


def _event_problems(event: Event) -> Iterable[str]:
    yield from _repeated(f"{event.event_type}: trait", (trait.name for trait in event.all_traits))
    yield from _repeated(f"{event.event_type}: payload field", (trait.field for trait in event.all_traits))
    if (event.phase is Phase.ERROR) != (event.severity is Severity.ERROR):
        yield f"{event.event_type} has the severity {event.severity}"
    for trait in event.all_traits:
        if trait.secret or any(word in trait.field.lower() for word in _SECRET_WORDS):
            yield f"{event.event_type} would publish the secret {trait.name}"
        if trait.type not in frozenset(TraitType):
            yield f"{event.event_type}: {trait.name} has the type {trait.type}"
        if not trait.description.strip():
            yield f"{event.event_type}: {trait.name} has no description"
    if "tenant_id" not in {trait.field for trait in event.all_traits}:
        yield f"{event.event_type} does not say whose it is (tenant_id)"


def _coverage_problems(operations: Sequence[Operation], events: Sequence[Event]) -> Iterable[str]:
    """Every operation has its three events, and no event tells of an operation that there is not."""
    told = {(event.operation, event.phase) for event in events if event.operation is not None}
    declared = {(operation.name, phase) for operation in operations for phase in Phase}
    for name, phase in sorted(declared ^ told, key=str):
        yield f"{name}.{phase} is in the table of operations or of events, but not in both"


def _repeated(what: str, names: Iterable[str]) -> Iterable[str]:
    for name, times in Counter(names).items():
        if times > 1:
            yield f"{what} {name} is declared {times} times"
