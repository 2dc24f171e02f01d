"""Values to payloads: what an event says, checked against what the catalogue declares. Pure.

Only declared traits leave, each with its declared type. A value that does not fit is left out and reported to the
caller: a flaw in an announcement must never fail the work that it announces.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_never

from coffer.catalogue.events import Event
from coffer.catalogue.traits import Trait, TraitType

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
        fitted = _fitted(trait, value)
        if fitted is None:
            problems.append(f"{event.event_type} has a {type(value).__name__} as {trait.field}")
        else:
            payload[trait.field] = fitted
    return Payload(values=payload, problems=tuple(problems))


def _fitted(trait: Trait, value: str | float | datetime) -> str | int | float | None:
    """Return `value` in the form of the trait's type, or None where it has another type."""
    match trait.type:
        case TraitType.TEXT:
            return value if isinstance(value, str) else None
        case TraitType.DATETIME:
            return _moment(value) if isinstance(value, datetime) else None
        case TraitType.INT:
            return value if isinstance(value, int) and not isinstance(value, bool) else None
        case TraitType.FLOAT:
            return _number(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        case _:
            assert_never(trait.type)


def _moment(value: datetime) -> str | None:
    if value.utcoffset() is None:
        return None
    try:
        return timestamp(value)
    except OverflowError:  # the first or last day of the calendar, in a zone that leads out of it
        return None


def _number(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
