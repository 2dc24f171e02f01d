"""The events as rows for a table; the command line draws it."""

from coffer.catalogue.event import Event
from coffer.catalogue.events import EVENTS
from coffer.catalogue.operations import OPERATIONS

HEADINGS = ("event type", "severity", "traits", "beyond the specification", "REST call")


def rows() -> list[tuple[str, ...]]:
    """Return one row an event, in the order of the catalogue; as many columns as HEADINGS."""
    return [_row(event) for event in EVENTS.values()]


def _row(event: Event) -> tuple[str, ...]:
    return (
        event.event_type,
        event.severity,
        ", ".join(trait.name for trait in event.traits),
        ", ".join(trait.name for trait in event.extension_traits),
        _call(event),
    )


def _call(event: Event) -> str:
    """Return the REST call, and whether it is served already."""
    if event.operation is None:
        return ""
    operation = OPERATIONS[event.operation]
    call = f"{operation.rest} {operation.body}".rstrip()
    return call if operation.built else f"{call} (not built yet)"


def text() -> str:
    """Return the rows as plain lines, columns parted by tabs, for those who have no table to draw."""
    return "".join("\t".join(row) + "\n" for row in (HEADINGS, *rows()))
