"""Values to payloads: what an event says, checked against what the catalogue declares. Pure.

Only declared traits leave, each with its declared type. A value that does not fit is left out and reported to the
caller: a flaw in an announcement must never fail the work that it announces.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

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
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


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
    if isinstance(value, datetime):
        fits = trait.type is TraitType.DATETIME and value.tzinfo is not None
        return timestamp(value) if fits else None
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return value if trait.type is TraitType.TEXT else None
    if trait.type is TraitType.FLOAT:
        return float(value)
    return value if trait.type is TraitType.INT and isinstance(value, int) else None
