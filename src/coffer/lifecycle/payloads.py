"""Values to payloads: what an event says, checked against what the catalogue declares. Pure.

Only declared traits leave, each with its declared type. A value that does not fit is left out and reported to the
caller: a flaw in an announcement must never fail the work that it announces.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache

from coffer.catalogue.events import Event
from coffer.catalogue.traits import TraitType
from coffer.wire.json import JSON

Value = str | int | float | datetime | None

_Fitter = Callable[[object], str | int | float | None]


@dataclass(frozen=True, slots=True)
class Payload:
    """The payload as it goes out, and what had to be left out of it (a sentence each)."""

    values: dict[str, JSON]
    problems: tuple[str, ...]


@lru_cache(maxsize=256)
def timestamp(moment: datetime) -> str:
    """Return `moment` in the form of the datetime traits: ISO 8601, UTC, microseconds, `Z`."""
    # Kept, since an audit tells of thousands with the same few moments.
    # Not strftime: it does not fill up years of less than four digits.
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def checked(event: Event, values: Mapping[str, Value]) -> Payload:
    """Return the payload of `event` made from `values` (by payload field; None means not known)."""
    payload: dict[str, JSON] = {}
    problems: list[str] = []
    for name, as_it_is, fitted_by, is_required in _declared(event):
        value = values.get(name)
        if type(value) is as_it_is:
            payload[name] = value  # type: ignore[assignment]  # a str or an int
            continue
        if value is None:
            if is_required:
                problems.append(f"{event.event_type} lacks {name}")
            continue
        fitted = fitted_by(value)
        if fitted is None:
            problems.append(f"{event.event_type} has a {type(value).__name__} as {name}")
        else:
            payload[name] = fitted
    return Payload(values=payload, problems=tuple(problems))


@cache
def _declared(event: Event) -> tuple[tuple[str, type | None, _Fitter, bool], ...]:
    """Return the fields of the payload: name, type that fits as it is, what makes others fit, must there be one."""
    return tuple(
        (trait.field, _AS_THEY_ARE.get(trait.type), _FITTERS[trait.type], trait.required)
        for trait in event.all_traits
    )


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


_FITTERS: Mapping[TraitType, _Fitter] = {
    TraitType.TEXT: _text,
    TraitType.INT: _whole,
    TraitType.FLOAT: _number,
    TraitType.DATETIME: _moment,
}
"""Each returns a value in the form of the trait's type, or None where it has another type."""

_AS_THEY_ARE: Mapping[TraitType, type] = {TraitType.TEXT: str, TraitType.INT: int}
"""The type of which every value fits, for those trait types that have one: most facts are of these."""
