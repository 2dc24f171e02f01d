"""Holds what was announced of a call against the catalogue, and against what the case expects."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.functional.operations.case import Call, Run, Told
from tests.functional.operations.stage import Stage
from tests.support.control_plane import PROJECT

from coffer.catalogue.events import EVENTS, Event
from coffer.catalogue.operations import IDENTIFYING, Operation
from coffer.catalogue.shared_traits import BASE
from coffer.catalogue.traits import Trait, TraitType
from coffer.lifecycle.payloads import timestamp
from coffer.wire.envelope import Notification

TYPES: Mapping[TraitType, type] = {TraitType.TEXT: str, TraitType.INT: int, TraitType.FLOAT: float}
ABOUT_US = frozenset({trait.field for trait in BASE} | {"run_id"})
SENTENCE = re.compile(r"([a-z_\[\].0-9]+: must|[A-Z]).*\.( \(\w+\))?")
"""For a person; one about the body names the field first, one of a failure that we do not know its kind last."""
SAME_IN_BOTH = ("tenant_id", "request_id", "client_ip", "run_id")


def runs_of(operation: str, events: Sequence[Notification]) -> list[Run]:
    """Return the runs that began with `events`, each told as one start and then one ending.

    What ends here and began earlier is another call's.
    """
    told: dict[str, list[Notification]] = {}
    for event in events:
        if event.event_type.startswith("dbaas."):
            told.setdefault(str(event.payload["run_id"]), []).append(event)
    begun = [each for each in told.values() if each[0].event_type.endswith(".start")]
    for each in begun:
        assert [event.event_type for event in each][:1] == [f"dbaas.{operation}.start"]
        assert len(each) == 2, [event.event_type for event in each]
    return [Run(start, ending) for start, ending in begun]


def judge(stage: Stage, operation: Operation, call: Call, told: Told, *, fault: str | None) -> None:
    """Hold everything that a case has in common with all others against what is promised."""
    assert len(told.runs) == len(call.starts), "as many runs as items"
    assert len({run.start.payload["request_id"] for run in told.runs}) == 1
    for run, traits in zip(told.runs, call.starts, strict=True):
        _judge_start(operation, run.start, traits)
        _judge_ending(operation, run, call, fault=fault)
    assert [fact.event_type for fact in told.facts] == [f"trove.instance.{name}" for name in call.facts]
    for fact in told.facts:
        _judge_fact(stage, fact)
    said = json.dumps([event.payload for run in told.runs for event in (run.start, run.ending)])
    for secret in _secrets(call.body):
        assert secret not in said


def _judge_start(operation: Operation, start: Notification, traits: Mapping[str, object]) -> None:
    assert start.severity == "info"
    assert start.payload["server_type"] == "api"
    assert start.payload["tenant_id"] == PROJECT
    assert start.payload["client_ip"] == "127.0.0.1:40123"
    own = {name: value for name, value in start.payload.items() if name not in ABOUT_US}
    assert own == traits
    _judge_shape(start, EVENTS[f"dbaas.{operation.name}.start"])


def _judge_ending(operation: Operation, run: Run, call: Call, *, fault: str | None) -> None:
    start, ending = run.start.payload, run.ending.payload
    phase = "end" if fault is None else "error"
    assert run.ending.event_type == f"dbaas.{operation.name}.{phase}", ending
    assert run.ending.severity == ("info" if fault is None else "error")
    _judge_shape(run.ending, EVENTS[run.ending.event_type])
    identifying = {trait.field for trait in (*operation.start, *operation.extension)} & IDENTIFYING
    for name in (*SAME_IN_BOTH, *sorted(identifying & start.keys())):
        assert ending[name] == start[name], name
    lasted_s = (run.ending.timestamp - run.start.timestamp).total_seconds()
    assert abs(ending["duration_s"] - lasted_s) < 0.001
    if fault is None:
        assert ending["server_type"] == operation.ended_by
        return
    assert (ending["fault"], ending["error_code"]) == (fault, call.error), ending
    message = ending["message"]
    assert SENTENCE.fullmatch(message), message
    for word in ("/tmp", "Traceback", "Error(", "0x"):
        assert word not in message, message


def _judge_fact(stage: Stage, fact: Notification) -> None:
    """A fact is whole, and says what the row says."""
    payload, event = fact.payload, EVENTS[fact.event_type]
    _judge_shape(fact, event)
    row = stage.control.row(str(payload["instance_id"]))
    known = {
        "tenant_id": PROJECT,
        "instance_name": row.name,
        "instance_type": row.flavor_name,
        "instance_type_id": row.flavor_id,
        "instance_size": row.ram_mib,
        "volume_size": row.volume_gib,
        "nova_instance_id": row.server_id,
        "nova_volume_id": row.volume_id,
        "created_at": timestamp(row.created_at),
        "launched_at": timestamp(row.created_at),
    }
    assert known.items() <= payload.items()
    if "deleted_at" in payload:
        assert row.deleted_at is not None
        assert payload["deleted_at"] == timestamp(row.deleted_at)


def _judge_shape(event: Notification, declared: Event) -> None:
    """Nothing is missing, nothing is undeclared, everything has its type."""
    by_field = {trait.field: trait for trait in declared.all_traits}
    payload = event.payload
    assert {field for field, trait in by_field.items() if trait.required} <= payload.keys()
    assert payload.keys() <= by_field.keys()
    for field, value in payload.items():
        assert _fits(by_field[field], value), (field, value)


def _fits(trait: Trait, value: object) -> bool:
    if trait.type is TraitType.DATETIME:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    return type(value) is TYPES[trait.type]


def _secrets(body: Any) -> Iterator[str]:
    if isinstance(body, dict):
        for key, value in body.items():
            if key == "password":
                yield str(value)
            else:
                yield from _secrets(value)
    elif isinstance(body, list):
        for each in body:
            yield from _secrets(each)
