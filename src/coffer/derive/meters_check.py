"""Tells what Ceilometer will make of messages with the meter definitions that an operator has."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from coffer.catalogue.traits import TraitType
from coffer.derive.ceilometer_reader import DefinitionsError
from coffer.derive.messages import CONTEXT, Message

TYPES = ("gauge", "delta", "cumulative")
REQUIRED = ("name", "type", "event_type", "unit", "volume", "resource_id")
_FIELD = re.compile(r"(?:\$\.)?(payload|ctxt)\.(\w+)")
_ENDS_OF_A_PERIOD = 2


@dataclass(frozen=True, slots=True)
class MeterVerdict:
    """What becomes of one meter: the messages that it makes samples of, and what is wrong with it."""

    name: str
    type: str
    event_types: tuple[str, ...]
    problems: tuple[str, ...]


def judge_meters(files: Sequence[str], messages: Sequence[Message]) -> tuple[MeterVerdict, ...]:
    """Return the meters that take one of `messages`, or that would not load; the `files` in Ceilometer's order.

    Raises:
        DefinitionsError: if Ceilometer would not load a file.
    """
    verdicts: list[MeterVerdict] = []
    known: set[str] = set()
    for content in files:
        # Within a file the last meter of a name is taken, among the files the first.
        for meter in reversed(_meters(content)):
            verdict = _judge(meter, messages)
            if verdict.name not in known and (verdict.event_types or verdict.problems):
                verdicts.append(verdict)
            known.add(verdict.name)
    return tuple(verdicts)


def _meters(content: str) -> list[Mapping[str, Any]]:
    try:
        found = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError) as error:
        raise DefinitionsError(f"The meters are no YAML: {error}") from error
    meters = found.get("metric") if isinstance(found, dict) else None
    if not isinstance(meters, list) or not all(isinstance(each, dict) for each in meters):
        raise DefinitionsError("The meters are not a list of mappings under `metric`.")
    return meters


def _judge(meter: Mapping[str, Any], messages: Sequence[Message]) -> MeterVerdict:
    name, type_ = str(meter.get("name")), str(meter.get("type"))
    missing = [field for field in REQUIRED if not meter.get(field)]
    if missing:
        return MeterVerdict(name, type_, (), (f"does not load: {', '.join(missing)} not set",))
    if type_ not in TYPES and "type" not in (meter.get("lookup") or []):
        return MeterVerdict(name, type_, (), (f"does not load: its type is none of {', '.join(TYPES)}",))
    taken = [message for message in messages if _takes(meter["event_type"], message.event_type)]
    problems = [problem for message in taken for problem in _problems(meter, message)]
    return MeterVerdict(
        name, type_, tuple(message.event_type for message in taken), tuple(dict.fromkeys(problems))
    )


def _takes(patterns: str | Sequence[str], event_type: str) -> bool:
    """Whether a pattern fits; other than in event definitions these are regular expressions, open at their end."""
    try:
        return any(
            re.match(each, event_type) for each in ([patterns] if isinstance(patterns, str) else patterns)
        )
    except (re.error, TypeError) as error:
        raise DefinitionsError(f"{patterns!r} are no regular expressions: {error}.") from error


def _problems(meter: Mapping[str, Any], message: Message) -> Iterable[str]:
    volume = meter["volume"]
    if isinstance(volume, Mapping) and volume.get("plugin") == "timedelta":
        yield from _period_problems(volume.get("fields"), message)
        if meter["type"] == "cumulative":
            yield "typed cumulative although each value is one period: totals will be wrong, it is a delta"
    else:
        yield from _volume_problems(volume, message)
    for field in ("resource_id", "project_id"):
        path = meter.get(field)
        if isinstance(path, str) and _FIELD.fullmatch(path) and _type_of(path, message) is None:
            yield f"no {field} in {message.event_type}: {path} is not there"


def _period_problems(fields: object, message: Message) -> Iterable[str]:
    paths = fields if isinstance(fields, list) else [fields]
    if len(paths) != _ENDS_OF_A_PERIOD:
        yield "the plugin timedelta wants two fields"
    for path in paths:
        if _type_of(path, message) is not TraitType.DATETIME:
            yield f"no sample of {message.event_type}: {path} is no time there"


def _volume_problems(volume: object, message: Message) -> Iterable[str]:
    if isinstance(volume, int):
        return
    type_ = _type_of(volume, message)
    if type_ is None:
        yield f"no sample of {message.event_type}, but a warning for each: {volume} is not there"
    elif type_ not in {TraitType.INT, TraitType.FLOAT}:
        yield f"its volume is no number in {message.event_type}: {volume} is {type_}"


def _type_of(path: object, message: Message) -> TraitType | None:
    match = _FIELD.fullmatch(path) if isinstance(path, str) else None
    if match is None:
        return None
    return (message.fields if match[1] == "payload" else CONTEXT).get(match[2])
