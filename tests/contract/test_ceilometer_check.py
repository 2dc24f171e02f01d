"""What `coffer ceilometer check` says of a file is what the real Ceilometer 27 does with it."""

import json
import random
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
from tests.support.ceilometer import ROOT, ceilometer_python
from tests.support.definitions import AS_PRINTED, CORRECTED, ODD, REFUSED

from coffer.catalogue.traits import TraitType
from coffer.derive import ceilometer
from coffer.derive.ceilometer_check import judge
from coffer.derive.ceilometer_reader import DefinitionsError, definitions
from coffer.derive.messages import Message, from_coffer, from_trove

pytestmark = pytest.mark.ceilometer

JUDGE_S = 240.0
JUDGE = ROOT / "tests" / "support" / "ceilometer_judge.py"
MESSAGES = {message.event_type: message for message in (*from_trove(), *from_coffer())}
"""Ours, and upstream's where we have none of the name."""
TYPE_NAMES = {
    TraitType.TEXT: "string",
    TraitType.INT: "integer",
    TraitType.FLOAT: "float",
    TraitType.DATETIME: "datetime",
}
IN_CONTEXT = {
    "request_id": "request_id",
    "project_id": "tenant_id",
    "tenant": "tenant_id",
    "user_id": "user_id",
}
FIELDS = [
    "tenant_id",
    "request_id",
    "server_ip",
    "instance_id",
    "name",
    "volume_size",
    "duration_s",
    "created_at",
]
FIELDS += ["modify_at", "in_use", "resource", "message", "replica_count"]
"""Some of every type; Ceilometer is slow to read paths that it has not read before."""
AT_RANDOM = 15


def value_of(message: Message, field: str) -> Any:
    """A value that no other field has."""
    number = sorted(message.fields).index(field) + 1
    return {
        TraitType.TEXT: f"a {field}",
        TraitType.INT: number,
        TraitType.FLOAT: number + 0.5,
        TraitType.DATETIME: f"2026-01-31T12:00:{number:02}.123456Z",
    }[message.fields[field]]


def notification(message: Message) -> dict[str, Any]:
    """A message as Ceilometer's endpoints get it."""
    return {
        "event_type": message.event_type,
        "publisher_id": "task.host-1",
        "ctxt": {**{name: f"a {field}" for name, field in IN_CONTEXT.items()}, "user": "a user_id"},
        "payload": {field: value_of(message, field) for field in message.fields},
        "metadata": {"message_id": "m-1", "timestamp": "2026-01-31 12:00:00.123456"},
    }


def at_random(seed: int) -> str:
    """A file with definitions of any order, type and path, some of which suit a message by chance."""
    rng = random.Random(seed)
    patterns = [*MESSAGES, "dbaas.*", "trove.*", "*", "dbaas.instance_*.start", "*.error", "dbaas.*.end"]
    patterns += ["trove.instance.[!e]*", "dbaas.user_??????.*", "TROVE.*", r"dbaas.\*"]

    def path() -> str:
        field = rng.choice(FIELDS)
        return rng.choice(
            [
                f"payload.{field}",
                f"payload.'{field}'",
                f"$.payload.{field}",
                f"ctxt.{field}",
                f"payload[{field}]",
            ]
        )

    def trait(name: str) -> dict[str, Any]:
        own = [f"payload.{name}"] if rng.random() < 0.7 else []
        read = [*own, *(path() for _ in range(rng.choice([0, 0, 1, 2])))] or [path()]
        kind = {} if rng.random() < 0.6 else {"type": rng.choice(["text", "int", "float", "datetime", "INT"])}
        joined = [" | ".join(read)] if not any("$" in each for each in read) else []
        return {**kind, "fields": rng.choice([read, read, *joined]) if len(read) > 1 else read[0]}

    items = []
    for _ in range(rng.randint(1, 12)):
        types = [rng.choice(["", "", "", "!"]) + rng.choice(patterns) for _ in range(rng.randint(1, 3))]
        names = rng.sample(FIELDS, rng.randint(0, len(FIELDS)))
        items.append({"event_type": types, "traits": {name: trait(name) for name in names}})
    return json.dumps(items)  # JSON is YAML


@pytest.fixture(scope="module")
def told() -> Mapping[str, Mapping[str, Any]]:
    """What Ceilometer makes of every message, by file."""
    files = {"ours": ceilometer.text(), "as printed": AS_PRINTED, "corrected": CORRECTED, **ODD, **REFUSED}
    files |= {f"random {seed}": at_random(seed) for seed in range(AT_RANDOM)}
    asked = {"files": files, "notifications": [notification(message) for message in MESSAGES.values()]}
    done = subprocess.run(
        [ceilometer_python(), "-P", JUDGE],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=JUDGE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Mapping[str, Any]] = json.loads(done.stdout)
    return found


def arrived(message: Message, traits: Mapping[str, Any]) -> int:
    """How many of the documented traits Ceilometer has, with the type and the value that were sent."""
    sent = {
        trait.name: [TYPE_NAMES[trait.type], converted(trait.type, value_of(message, trait.field))]
        for trait in message.documented
    }
    return sum(traits.get(name) == value for name, value in sent.items())


def converted(type_: TraitType, value: Any) -> Any:
    return value.removesuffix("Z") if type_ is TraitType.DATETIME else value


def differences(text: str, events: Mapping[str, Any]) -> list[str]:
    """What the check says of a file and Ceilometer does not do."""
    found, wrong = definitions(text), []
    for message in MESSAGES.values():
        verdict, traits = judge(found, message), events[message.event_type]
        said = (verdict.is_lost, verdict.understood)
        done = (traits is None, 0 if traits is None else arrived(message, traits))
        if said != done:
            wrong.append(f"{message.event_type}: said {said}, done {done}, {verdict.flaws} {traits}")
    return wrong


@pytest.mark.parametrize(
    "name", ["ours", "shipped", "corrected", *ODD, *(f"random {n}" for n in range(AT_RANDOM))]
)
def test_what_is_said_is_what_ceilometer_does(told: Mapping[str, Mapping[str, Any]], name: str) -> None:
    assert told[name]["events"] is not None, told[name]["text"]
    assert differences(told[name]["text"], told[name]["events"]) == []


@pytest.mark.parametrize("name", ["as printed", *REFUSED])
def test_what_is_refused_is_what_ceilometer_does_not_load(
    told: Mapping[str, Mapping[str, Any]], name: str
) -> None:
    assert told[name]["events"] is None
    with pytest.raises(DefinitionsError):
        definitions(told[name]["text"])


def test_events_are_lost_by_some_of_the_files(told: Mapping[str, Mapping[str, Any]]) -> None:
    lost = [name for name, each in told.items() if each["events"] and None in each["events"].values()]
    assert len(lost) > AT_RANDOM / 4


def test_the_file_that_ceilometer_ships_understands_257_of_656_traits(
    told: Mapping[str, Mapping[str, Any]],
) -> None:
    found = definitions(told["shipped"]["text"])
    verdicts = [judge(found, message) for message in from_coffer()]

    assert (sum(each.understood for each in verdicts), sum(each.documented for each in verdicts)) == (
        257,
        656,
    )
    assert not any(each.definition for each in verdicts if each.event_type.startswith("dbaas."))
