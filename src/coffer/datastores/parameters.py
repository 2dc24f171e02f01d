"""Configuration parameters of an engine as data, and what is wrong with a value for one; pure."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

Value = str | int | float | bool
"""What a tenant may write: JSON's scalars without null."""

TEXT_LIMIT_BYTES: Final = 1024

_NUMBER = re.compile(
    r"(?P<number>[+-]?(?:0|[1-9]\d{0,30})(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?) ?(?P<unit>[A-Za-z]{0,3})"
)
_UNIT = re.compile(r"(?P<times>\d*)(?P<unit>[A-Za-z]+)")
_BYTES: Final[Mapping[str, int]] = {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_MICROSECONDS: Final[Mapping[str, int]] = {
    "us": 1,
    "ms": 1000,
    "s": 1_000_000,
    "min": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_YES: Final = frozenset({"on", "true", "yes", "1"})
_NO: Final = frozenset({"off", "false", "no", "0"})
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


class Kind(StrEnum):
    """The type of a parameter in Trove's words; a choice is a string to Trove."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "float"
    STRING = "string"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter that a configuration group may hold.

    `minimum` and `maximum` count in `unit` ("8kB", "ms", …; None: a bare number). A parameter with `choices` takes
    one of these words.
    """

    name: str
    kind: Kind
    restart_required: bool
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    def problem(self, value: Value) -> str | None:
        """Return what is wrong with a value, as the rest of a sentence about the parameter, or None."""
        if self.choices:
            return self._choice_problem(value)
        match self.kind:
            case Kind.BOOLEAN:
                return None if _is_boolean(value) else "needs true or false"
            case Kind.INTEGER | Kind.FLOAT:
                return self._number_problem(value)
            case Kind.STRING:
                return _text_problem(value)
            case _:
                assert_never(self.kind)

    def _choice_problem(self, value: Value) -> str | None:
        if as_text(value).lower() in self.choices:
            return None
        return f"needs one of {', '.join(repr(each) for each in self.choices)}"

    def _number_problem(self, value: Value) -> str | None:
        number = self._number(value)
        if number is None:
            whole = "a whole number" if self.kind is Kind.INTEGER else "a number"
            return f"needs {whole}{self._unit_words()}"
        low, high = self.minimum, self.maximum
        if (low is not None and number < low) or (high is not None and number > high):
            unit = f" (in {self.unit})" if self.unit else ""
            return f"must be between {_plain(low)} and {_plain(high)}{unit}"
        return None

    def _unit_words(self) -> str:
        if self.unit is None:
            return ""
        return f", counted in {self.unit} or with one of the units {', '.join(_scale(self.unit)[1])}"

    def _number(self, value: Value) -> float | None:
        """Return a value counted in the parameter's unit, None if it is no such number."""
        found = None if isinstance(value, bool) else _NUMBER.fullmatch(str(value).strip())
        if found is None:
            return None
        number = float(found["number"])
        if not found["unit"]:
            return number if number.is_integer() or self.kind is Kind.FLOAT else None
        if self.unit is None or found["unit"] not in _scale(self.unit)[1]:
            return None
        size, units = _scale(self.unit)
        return number * units[found["unit"]] / size


def as_text(value: Value) -> str:
    """Return a value as it stands in a server's configuration file."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def as_texts(values: Mapping[str, Value]) -> dict[str, str]:
    """Return all values as they stand in a server's configuration file."""
    return {name: as_text(value) for name, value in values.items()}


def _is_boolean(value: Value) -> bool:
    return as_text(value).lower() in _YES | _NO


def _text_problem(value: Value) -> str | None:
    text = as_text(value)
    if any(unicodedata.category(char) in _REFUSED_CATEGORIES for char in text):
        return "holds a control character"
    if len(text.encode()) > TEXT_LIMIT_BYTES:
        return f"is longer than {TEXT_LIMIT_BYTES} bytes"
    return None


def _scale(unit: str) -> tuple[int, Mapping[str, int]]:
    """Return how large a unit such as `8kB` is, and the units of its family, in bytes or microseconds."""
    found = _UNIT.fullmatch(unit)
    assert found is not None, f"a unit {unit}"
    family = _BYTES if found["unit"] in _BYTES else _MICROSECONDS
    return int(found["times"] or 1) * family[found["unit"]], family


def _plain(bound: float | None) -> str:
    return "any" if bound is None else f"{bound:g}" if abs(bound) > 2**53 else f"{bound}"
