"""The two bills of a story whose amounts are known."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.bill import bill, lives_kept, lives_told, periods_told

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)


def stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def kept(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


def fact(name: str, at: datetime, *, flavor: str = "1", gib: int = 1, **more: str) -> dict[str, Any]:
    moments = {"create": "launched_at", "delete": "deleted_at"}
    payload = {
        "instance_id": "i",
        "tenant_id": "acme",
        "instance_type_id": flavor,
        "volume_size": gib,
        moments.get(name, "modify_at"): stamp(at),
        **more,
    }
    return {"event_type": f"trove.instance.{name}", "payload": payload}


STORY = [
    {"event_type": "dbaas.instance_create.start", "payload": {}},
    fact("create", NOON),
    fact("modify_flavor", NOON + HOUR, flavor="2"),
    fact("modify_volume", NOON + 3 * HOUR, flavor="2", gib=5),
    fact("delete", NOON + 4 * HOUR + MICROSECOND, flavor="2", gib=5),
]
RUNS = [
    ("instance_create", "i", json.dumps({"flavor": "1", "volume_size": 1}), kept(NOON + MICROSECOND)),
    ("instance_resize_instance", "i", json.dumps({"new_flavor_id": "2"}), kept(NOON + HOUR)),
    ("instance_restart", "i", "{}", kept(NOON + HOUR)),
    ("instance_resize_volume", "i", json.dumps({"new_size": 5}), kept(NOON + 3 * HOUR)),
]
ROW = ("i", "acme", kept(NOON), kept(NOON + MICROSECOND), kept(NOON + 4 * HOUR + MICROSECOND))


def test_each_size_is_billed_for_as_long_as_it_was() -> None:
    made = bill(lives_told(STORY).values(), NOON + 9 * HOUR)

    assert made.instances == {("acme", "1"): HOUR, ("acme", "2"): 3 * HOUR + MICROSECOND}
    assert made.volumes == {"acme": 3 * HOUR + 5 * (HOUR + MICROSECOND)}
    assert made.instance_time("acme") == 4 * HOUR + MICROSECOND
    assert made.instance_time("umbrella") == timedelta()


def test_the_tables_give_the_same() -> None:
    for until in (NOON, NOON + HOUR / 2, NOON + 2 * HOUR, NOON + 3.5 * HOUR, NOON + 9 * HOUR):
        assert bill(lives_kept([ROW], RUNS).values(), until) == bill(lives_told(STORY).values(), until)


def test_what_lives_is_billed_until_now() -> None:
    assert bill(lives_told(STORY[:-1]).values(), NOON + 9 * HOUR).instance_time("acme") == 9 * HOUR
    assert bill(lives_kept([(*ROW[:4], None)], RUNS).values(), NOON + 9 * HOUR).volumes == {
        "acme": 3 * HOUR + 5 * 6 * HOUR
    }


def test_a_bill_that_is_off_by_a_microsecond_or_lacks_a_change_is_another() -> None:
    whole = bill(lives_told(STORY).values(), NOON + 9 * HOUR)

    for event in STORY[1:-1]:
        rest = [each for each in STORY if each is not event]
        if event["event_type"].endswith("create"):
            with pytest.raises(ValueError, match="out of order"):
                lives_told(rest)
        else:
            assert bill(lives_told(rest).values(), NOON + 9 * HOUR) != whole
    late = (*ROW[:4], kept(NOON + 4 * HOUR))
    assert bill(lives_kept([late], RUNS).values(), NOON + 9 * HOUR) != whole


@pytest.mark.parametrize("again", [STORY[1], STORY[-1]], ids=["created", "deleted"])
def test_what_is_created_or_deleted_twice_is_no_story(again: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="out of order"):
        lives_told([*STORY, again])


def test_an_instance_that_was_launched_and_never_created_is_no_story() -> None:
    with pytest.raises(ValueError, match="launched are"):
        lives_kept([ROW], [])


def test_periods_come_in_their_order() -> None:
    events = [
        {
            "event_type": "trove.instance.exists",
            "payload": {
                "instance_id": "i",
                "audit_period_beginning": stamp(NOON + hours * HOUR),
                "audit_period_ending": stamp(NOON + (hours + 1) * HOUR),
            },
        }
        for hours in (1, 0)
    ]

    assert periods_told([*STORY, *events]) == {
        "i": [(NOON, NOON + HOUR), (NOON + HOUR, NOON + 2 * HOUR)],
    }
