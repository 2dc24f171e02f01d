"""What must stand at the end of Ceilometer's pipelines for what was announced, and what really stands there."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from tests.support.listener import Arrival

from coffer.catalogue.event import Event
from coffer.catalogue.events import EVENTS
from coffer.catalogue.traits import Trait, TraitType

DTYPES = {TraitType.TEXT: 1, TraitType.INT: 2, TraitType.FLOAT: 3, TraitType.DATETIME: 4}
LONGEST_TEXT = 255
BY_CEILOMETER = frozenset({"service", "request_id", "project_id", "tenant_id", "user_id"})
"""The traits that Ceilometer gives every event by itself."""

Pair = tuple[str, str]
"""An event type and a trait."""
Sample = tuple[str, str, str, float, str, str, str | None]
"""Name, type, unit, volume, resource, project, user."""


def flaws(arrival: Arrival, event: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the event that Ceilometer made of a message, a sentence each."""
    declared = EVENTS[arrival.event_type]
    expected = {trait.name: told for trait in declared.all_traits if (told := _told(trait, arrival.message))}
    found = {trait["name"]: (trait["dtype"], _read(trait)) for trait in event["traits"]}
    wrong = [
        f"{arrival.event_type}: {name} is {found.get(name)} and was announced as {value}"
        for name, value in expected.items()
        if found.get(name) != value
    ]
    wrong += [
        f"{arrival.event_type}: {name} from nowhere" for name in found.keys() - expected - BY_CEILOMETER
    ]
    if event["event_type"] != arrival.event_type:
        wrong.append(f"{arrival.event_type} became {event['event_type']}")
    if datetime.fromisoformat(event["generated"]) != arrival.timestamp.replace(tzinfo=None):
        wrong.append(f"{arrival.event_type} of {arrival.timestamp} became one of {event['generated']}")
    if found["service"] != (DTYPES[TraitType.TEXT], arrival.message["publisher_id"]):
        wrong.append(f"{arrival.event_type} comes from {found['service']}")
    return wrong


def documented() -> set[Pair]:
    """Return every pair that the specification documents."""
    return {(event.event_type, trait.name) for event in EVENTS.values() for trait in event.traits}


def pairs(arrivals: Iterable[Arrival]) -> set[Pair]:
    """Return the documented pairs that these messages carry a value for."""
    return {
        (arrival.event_type, trait.name)
        for arrival in arrivals
        for trait in EVENTS[arrival.event_type].traits
        if trait.field in arrival.message["payload"]
    }


def full_values(event: Event) -> dict[str, Any]:
    """Return a value of the right type for every trait of an event, by payload field."""
    moment = datetime.fromisoformat("2026-01-31T12:00:00.123456+00:00")
    values = {
        TraitType.TEXT: 'a word, ünd "more"',
        TraitType.INT: 7,
        TraitType.FLOAT: 1.5,
        TraitType.DATETIME: moment,
    }
    return {trait.field: values[trait.type] for trait in event.all_traits}


def expected_samples(arrivals: Iterable[Arrival]) -> "Counter[Sample]":
    """Return the samples that these messages must have become."""
    found: Counter[Sample] = Counter()
    for arrival in arrivals:
        payload = arrival.message["payload"]
        if arrival.event_type == "trove.quota":
            for number in ("in_use", "reserved", "limit"):
                name = f"trove.quota.{payload['resource']}.{number}"
                resource, project = f"trove_quota_{payload['tenant_id']}", payload["tenant_id"]
                user = arrival.message.get("_context_user_id")
                found[(name, "gauge", "unit", payload[number], resource, project, user)] += 1
        elif arrival.event_type.startswith("trove.instance.") and not arrival.event_type.endswith(".delete"):
            whose = (payload["instance_id"], payload["tenant_id"], payload["user_id"])
            found[("trove.instance", "gauge", "instance", 1, *whose)] += 1
            found[("trove.instance.memory", "gauge", "MiB", payload["instance_size"], *whose)] += 1
            found[("trove.volume.size", "gauge", "GiB", payload["volume_size"], *whose)] += 1
            if arrival.event_type.endswith(".exists"):
                period = _moment(payload["audit_period_ending"]) - _moment(payload["audit_period_beginning"])
                found[("trove.instance.exists", "delta", "s", period.total_seconds(), *whose)] += 1
    return found


def samples(published: Iterable[Mapping[str, Any]]) -> "Counter[Sample]":
    """Return what Ceilometer published in the same form."""
    fields = ("name", "type", "unit", "volume", "resource_id", "project_id", "user_id")
    return Counter(tuple(each[name] for name in fields) for each in published)


def _told(trait: Trait, message: Mapping[str, Any]) -> tuple[int, object] | None:
    value = message["payload"].get(trait.field)
    if value is None:
        return None
    if trait.type is TraitType.DATETIME:
        value = _moment(value).replace(tzinfo=None)
    elif trait.type is TraitType.TEXT:
        value = value[:LONGEST_TEXT]
    return DTYPES[trait.type], value


def _read(trait: Mapping[str, Any]) -> object:
    if trait["dtype"] == DTYPES[TraitType.DATETIME]:
        return datetime.fromisoformat(trait["value"])
    return trait["value"]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
