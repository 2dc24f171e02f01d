"""G8: the payload that leaves is the declared one, whatever it is made from."""

import json
import math
import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.catalogue.errors import Fault
from coffer.catalogue.events import EVENTS, Event
from coffer.catalogue.traits import Trait, TraitType
from coffer.lifecycle.payloads import checked
from coffer.wire.envelope import Notification, seal, unseal

CREATED = EVENTS["trove.instance.create"]
ENDED = EVENTS["dbaas.database_create.end"]
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

surrogates_too = st.text(st.characters())
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**400, max_value=10**401),
    st.floats(),
    surrogates_too,
    st.binary(),
    st.datetimes(),
    st.datetimes(timezones=st.timezones()),
    st.sampled_from(
        [datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), Fault.USER, date(2026, 1, 1)]
    ),
    st.lists(st.integers()),
    st.dictionaries(surrogates_too, surrogates_too),
    st.just(object()),
)


@st.composite
def events_with_values(draw: st.DrawFn) -> tuple[Event, dict[str, Any]]:
    """An event, any values for its fields, and fields that nobody declared."""
    event = draw(st.sampled_from(list(EVENTS.values())))
    fields = [trait.field for trait in event.all_traits]
    values = draw(st.fixed_dictionaries({}, optional=dict.fromkeys(fields, anything)))
    stray = draw(st.dictionaries(st.sampled_from(["password", "token", "x", ""]), anything, max_size=3))
    return event, {**stray, **values}


def has_type(trait: Trait, value: object) -> bool:
    match trait.type:
        case TraitType.TEXT:
            return isinstance(value, str)
        case TraitType.DATETIME:
            return isinstance(value, str) and MOMENT.fullmatch(value) is not None
        case TraitType.INT:
            return isinstance(value, int) and not isinstance(value, bool)
        case TraitType.FLOAT:
            return isinstance(value, float) and math.isfinite(value)


@given(events_with_values())
def test_only_declared_traits_leave_and_with_their_types(case: tuple[Event, dict[str, Any]]) -> None:
    event, values = case
    declared = {trait.field: trait for trait in event.all_traits}

    payload = checked(event, values)

    assert payload.values.keys() <= declared.keys()
    for field, value in payload.values.items():
        assert has_type(declared[field], value)


@given(events_with_values())
def test_every_declared_trait_that_is_missing_or_wrong_is_reported(
    case: tuple[Event, dict[str, Any]],
) -> None:
    event, values = case

    payload = checked(event, values)

    left_out = [
        trait
        for trait in event.all_traits
        if trait.field not in payload.values and (trait.required or values.get(trait.field) is not None)
    ]
    assert len(payload.problems) == len(left_out)
    for trait, problem in zip(left_out, payload.problems, strict=True):
        assert trait.field in problem


@given(events_with_values())
def test_whatever_is_in_a_payload_can_be_sealed_and_read_again(case: tuple[Event, dict[str, Any]]) -> None:
    event, values = case
    payload = checked(event, values)
    sealed = seal(
        Notification(
            message_id="m-1",
            unique_id="u-1",
            event_type=event.event_type,
            severity=event.severity,
            publisher_id="api.test",
            timestamp=datetime(2026, 1, 1, tzinfo=UTC),
            payload=dict(payload.values),
            context={},
        )
    )

    assert unseal(sealed).payload.keys() == payload.values.keys()


def test_a_problem_quotes_no_value() -> None:
    payload = checked(CREATED, {"instance_size": "tiger"})

    assert not [problem for problem in payload.problems if "tiger" in problem]
    assert "trove.instance.create has a str as instance_size" in payload.problems


def test_a_moment_is_told_in_utc_to_the_microsecond() -> None:
    moment = datetime(2026, 3, 29, 1, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))

    assert checked(CREATED, {"created_at": moment}).values["created_at"] == "2026-03-28T23:00:00.000005Z"


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 3, 29),  # noqa: DTZ001 - naive on purpose
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    ],
)
def test_a_moment_that_means_none_is_left_out(moment: datetime) -> None:
    assert "created_at" not in checked(CREATED, {"created_at": moment}).values


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, "1.0", 10**400])
def test_a_number_that_is_none_is_left_out(value: Any) -> None:
    assert "duration_s" not in checked(ENDED, {"duration_s": value}).values


def test_a_whole_number_becomes_a_float_where_one_is_declared() -> None:
    value = checked(ENDED, {"duration_s": 3}).values["duration_s"]

    assert (type(value), value) == (float, 3.0)


def test_true_is_no_number() -> None:
    assert "instance_size" not in checked(CREATED, {"instance_size": True}).values


def test_a_trait_stands_in_the_field_that_it_is_read_from() -> None:
    assert checked(CREATED, {"instance_id": "i-1", "resource_id": "i-2"}).values["instance_id"] == "i-1"


@pytest.mark.parametrize(
    "name", ["\ud800", "a\x00b", "\u202egnp.exe", "é" * 1_000_000, "'; DROP TABLE runs; --"]
)
def test_a_strange_name_leaves_as_it_is(name: str) -> None:
    payload = checked(CREATED, {"name": name})

    assert payload.values["name"] == name
    assert json.dumps(payload.values)
