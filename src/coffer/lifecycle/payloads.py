"""Values to payloads: what an event says, checked against what the catalogue declares. Pure.

Only declared traits leave, each with its declared type. A value that does not fit is left out and reported to the
caller: a flaw in an announcement must never fail the work that it announces.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from coffer.catalogue.events import Event
from coffer.catalogue.traits import TraitType

Value = str | int | float | datetime | None


@dataclass(frozen=True, slots=True)
class Payload:
    """The payload as it goes out, and what had to be left out of it (a sentence each)."""

    values: dict[str, str | int | float]
    problems: tuple[str, ...]


def timestamp(moment: datetime) -> str:
    """Return `moment` in the form of the datetime traits: ISO 8601, UTC, microseconds, `Z`."""
    # Not strftime: it does not fill up years of less than four digits.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def checked(event: Event, values: Mapping[str, Value]) -> Payload:
    """Return the payload of `event` made from `values` (by payload field; None means not known)."""
    payload: dict[str, str | int | float] = {}
    problems: list[str] = []
    for trait in (*event.traits, *event.extension_traits):
        value = values.get(trait.field)
        if value is None:
            if trait.required:
                problems.append(f"{event.event_type} lacks {trait.field}")
            continue
        fitted = _FITTERS[trait.type](value)
        if fitted is None:
            problems.append(f"{event.event_type} has a {type(value).__name__} as {trait.field}")
        else:
            payload[trait.field] = fitted
    return Payload(values=payload, problems=tuple(problems))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _moment(value: object) -> str | None:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        return None
    try:
        return timestamp(value)
    except OverflowError:  # the first or last day of the calendar, in a zone that leads out of it
        return None


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


_FITTERS: Mapping[TraitType, Callable[[object], str | int | float | None]] = {
    TraitType.TEXT: _text,
    TraitType.INT: _whole,
    TraitType.FLOAT: _number,
    TraitType.DATETIME: _moment,
}
"""Each returns a value in the form of the trait's type, or None where it has another type."""
