"""The real Ceilometer 27 reads our definitions, and makes every declared trait of our messages."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.ceilometer import Answer, convert

from coffer.catalogue.event import Event, Severity
from coffer.catalogue.events import EVENTS
from coffer.catalogue.facts import OTHER_QUOTA_NAMES, QUOTA
from coffer.catalogue.traits import Trait, TraitType
from coffer.derive.formats import FORMATS
from coffer.derive.meters import EXISTS, PRESENT, QUOTA_NUMBERS, QUOTA_RESOURCES
from coffer.wire.envelope import Notification, seal
from coffer.wire.json import JSON

pytestmark = pytest.mark.ceilometer

MOMENT = datetime(2026, 11, 22, 8, 30, 15, 123456, tzinfo=UTC)
CONTEXT: dict[str, JSON] = {"request_id": "req-context", "project_id": "p-context", "user_id": "u-context"}
TYPE_NAMES = {
    TraitType.TEXT: "string",
    TraitType.INT: "integer",
    TraitType.FLOAT: "float",
    TraitType.DATETIME: "datetime",
}


def value_of(trait: Trait) -> str | int | float:
    """A value of the trait's type, as a payload carries it."""
    if trait.name in {"audit_period_ending", "modify_at"}:
        return stamp(MOMENT + timedelta(hours=1))
    values: dict[TraitType, str | int | float] = {
        TraitType.TEXT: f"a {trait.field}",
        TraitType.INT: 7,
        TraitType.FLOAT: 1.5,
        TraitType.DATETIME: stamp(MOMENT),
    }
    return values[trait.type]


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def body(event: Event, payload: dict[str, JSON], *, event_type: str = "") -> bytes:
    """The bytes of one message; its id is the event type, so that it can be found again."""
    return seal(
        Notification(
            message_id=event_type or event.event_type,
            unique_id=event_type or event.event_type,
            event_type=event_type or event.event_type,
            severity=event.severity,
            publisher_id="task.host-1",
            timestamp=MOMENT,
            payload=payload,
            context=CONTEXT,
        )
    )


def full_payload(event: Event) -> dict[str, JSON]:
    return {trait.field: value_of(trait) for trait in event.all_traits}


def ask(bodies: list[bytes], *, append_to_shipped: bool = False) -> Answer:
    return convert(
        definitions=FORMATS["ceilometer"](),
        meters=FORMATS["meters"](),
        gnocchi=FORMATS["gnocchi"](),
        bodies=bodies,
        append_to_shipped=append_to_shipped,
    )


@pytest.fixture(scope="module", params=[False, True], ids=["alone", "appended to the shipped file"])
def answer(request: pytest.FixtureRequest) -> Answer:
    bodies = [body(event, full_payload(event)) for event in EVENTS.values()]
    bodies += [
        body(EVENTS[QUOTA], full_payload(EVENTS[QUOTA]), event_type=name) for name in OTHER_QUOTA_NAMES
    ]
    return ask(bodies, append_to_shipped=request.param)


@pytest.fixture(scope="module")
def bare() -> Answer:
    """The answer to messages with empty payloads."""
    return ask([body(event, {}) for event in EVENTS.values()])


@pytest.fixture(scope="module")
def odd() -> Answer:
    """The answer to an operation that we do not declare, and to the quotas of each resource."""
    known, quota, exists = EVENTS["dbaas.instance_restart.error"], EVENTS[QUOTA], EVENTS[EXISTS]
    bodies = [body(known, full_payload(known), event_type="dbaas.instance_fly.error")]
    bodies += [body(quota, {**full_payload(quota), "resource": name}) for name in QUOTA_RESOURCES]
    bodies.append(body(exists, full_payload(exists)))
    return ask(bodies)


def test_every_event_arrives(answer: Answer) -> None:
    assert set(answer.events) == {*EVENTS, *OTHER_QUOTA_NAMES}
    assert sum(event.severity is Severity.ERROR for event in EVENTS.values()) == 29


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: event.event_type)
def test_every_trait_arrives_with_its_type_and_value(answer: Answer, event: Event) -> None:
    traits = answer.events[event.event_type]["traits"]

    assert {trait.name: traits.get(trait.name) for trait in event.all_traits} == {
        trait.name: [TYPE_NAMES[trait.type], converted(trait)] for trait in event.all_traits
    }


def converted(trait: Trait) -> object:
    """Ceilometer keeps datetimes naive, in UTC."""
    value = value_of(trait)
    return str(value).removesuffix("Z") if trait.type is TraitType.DATETIME else value


@pytest.mark.parametrize("name", OTHER_QUOTA_NAMES)
def test_the_quota_event_is_understood_by_its_other_names(answer: Answer, name: str) -> None:
    assert answer.events[name]["traits"] == answer.events[QUOTA]["traits"]


def test_the_id_and_the_time_are_those_of_the_message(answer: Answer) -> None:
    for name, event in answer.events.items():
        assert event["message_id"] == name
        assert event["generated"] == MOMENT.replace(tzinfo=None).isoformat()


def test_without_the_payload_fields_the_context_answers(bare: Answer) -> None:
    for event in EVENTS.values():
        traits = bare.events[event.event_type]["traits"]
        assert traits["request_id"] == ["string", "req-context"]
        assert traits["tenant_id"] == ["string", "p-context"]
        assert traits["user_id"] == ["string", "u-context"]


def test_an_operation_that_the_definitions_do_not_know_keeps_the_common_traits(odd: Answer) -> None:
    traits = odd.events["dbaas.instance_fly.error"]["traits"]
    assert {"run_id", "server_type", "message", "duration_s", "error_code"} <= set(traits)


def test_the_meters_load_and_make_their_samples(answer: Answer) -> None:
    assert "Error loading meter definition" not in answer.log
    volumes = {sample["name"]: sample["volume"] for sample in answer.samples}

    assert volumes == {
        EXISTS: 3600.0,
        "trove.instance": 1,
        "trove.instance.memory": 7,
        "trove.volume.size": 7,
        **{f"trove.quota.a resource.{number}": 7 for number in QUOTA_NUMBERS},
    }


def test_one_period_is_one_delta_of_its_instance_and_tenant(answer: Answer) -> None:
    (sample,) = [sample for sample in answer.samples if sample["name"] == EXISTS]

    assert (sample["type"], sample["unit"]) == ("delta", "s")
    assert (sample["resource_id"], sample["project_id"]) == ("a instance_id", "a tenant_id")
    assert sample["user_id"] == "a user_id"


def test_every_event_that_says_an_instance_is_there_makes_a_sample_and_its_end_none(answer: Answer) -> None:
    assert sum(sample["name"] == "trove.instance" for sample in answer.samples) == len(PRESENT)
    assert "trove.instance.delete" not in PRESENT


def test_gnocchi_knows_every_metric_of_an_instance_and_a_quota(odd: Answer) -> None:
    names = {sample["name"] for sample in odd.samples}

    assert names == set(odd.metrics)
    assert {odd.metrics[name] for name in names} == {"trove_instance", "trove_quota"}


def test_gnocchi_follows_the_life_of_an_instance(answer: Answer) -> None:
    actions = {name: told["action"] for name, told in answer.gnocchi.items() if told}

    assert actions == {
        "trove.instance.create": "create",
        "trove.instance.modify_volume": "update",
        "trove.instance.modify_flavor": "update",
        "trove.instance.delete": "delete",
    }
    created = answer.gnocchi["trove.instance.create"]
    assert created is not None
    assert created["attributes"]["id"] == "a instance_id"
    assert created["attributes"]["project_id"] == "a tenant_id"
