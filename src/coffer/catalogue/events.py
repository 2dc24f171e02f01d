"""Every event that coffer can announce: made from the rows of operations and facts, checked on import."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from coffer.catalogue.check import check
from coffer.catalogue.event import Event, Phase, Severity
from coffer.catalogue.facts import FACTS, Fact
from coffer.catalogue.operations import IDENTIFYING, OPERATIONS, Operation
from coffer.catalogue.shared_traits import BASE, DURATION_S, FAILED, JUDGED, RUN_ID
from coffer.catalogue.traits import Trait

__all__ = ["EVENTS", "Event", "Phase", "Severity", "event_of", "operation_event"]


def event_of(operation: Operation, phase: Phase) -> Event:
    """Return the event of one phase of an operation, made from its row."""
    documented = {
        Phase.START: (*BASE, *operation.start),
        Phase.END: (*BASE, *operation.end),
        Phase.ERROR: (*BASE, *operation.error, *FAILED),
    }[phase]
    return Event(
        event_type=f"dbaas.{operation.name}.{phase}",
        severity=Severity.ERROR if phase is Phase.ERROR else Severity.INFO,
        operation=operation.name,
        phase=phase,
        traits=documented,
        extension_traits=_without(_extension(operation, phase), documented),
        rest=operation.rest,
        sentence=operation.sentence,
    )


def _extension(operation: Operation, phase: Phase) -> tuple[Trait, ...]:
    if phase is Phase.START:
        return (RUN_ID, *operation.extension)
    started = (*operation.start, *operation.extension)
    identifying = tuple(trait for trait in started if trait.name in IDENTIFYING)
    judged = JUDGED if phase is Phase.ERROR else ()
    return (RUN_ID, *identifying, DURATION_S, *judged)


def _without(traits: Iterable[Trait], documented: Iterable[Trait]) -> tuple[Trait, ...]:
    names = {trait.name for trait in documented}
    return tuple(trait for trait in traits if trait.name not in names)


def _fact_event(fact: Fact) -> Event:
    return Event(
        event_type=fact.event_type,
        severity=Severity.INFO,
        operation=None,
        phase=None,
        traits=fact.traits,
        extension_traits=fact.extension,
        rest=None,
        sentence=fact.sentence,
    )


_ALL = (
    *(_fact_event(fact) for fact in FACTS),
    *(event_of(operation, phase) for operation in OPERATIONS.values() for phase in Phase),
)

check(tuple(OPERATIONS.values()), _ALL)

EVENTS: Mapping[str, Event] = MappingProxyType({event.event_type: event for event in _ALL})
"""Every event by its type: the status notifications, then start, end and error of each operation."""


def operation_event(operation: Operation, phase: Phase) -> Event:
    """Return the event that tells of a phase of an operation of the table."""
    return EVENTS[f"dbaas.{operation.name}.{phase}"]
