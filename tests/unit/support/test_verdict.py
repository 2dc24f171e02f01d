"""The laboratory's judge sees each kind of flaw; or its zeros would mean nothing."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.laboratory.load import Call
from tests.support.laboratory.verdict import Evidence, Run, Verdict, judge
from tests.support.listener import Arrival

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=1)
RUN = Run("r1", "database_create", "req-1", NOON, LATER, "end", None)
CALL = Call("POST /databases", "req-1", 202, NOON - timedelta(seconds=1), LATER)


def event(name: str, message_id: str, at: datetime, *, run_id: str | None = "r1", **more: str) -> Arrival:
    payload = {"run_id": run_id, **more}
    inside = {
        "message_id": message_id,
        "event_type": name,
        "timestamp": f"{at:%Y-%m-%d %H:%M:%S.%f}",
        "payload": payload,
    }
    return Arrival(LATER, "notifications.info", json.dumps({"oslo.message": json.dumps(inside)}).encode())


START = event("dbaas.database_create.start", "m1", NOON)
END = event("dbaas.database_create.end", "m2", LATER)


def verdict(heard: Sequence[Arrival] = (START, END), **changes: object) -> Verdict:
    evidence = Evidence(
        runs=[RUN],
        facts=Counter(),
        heard={"witness": heard},
        witnesses={"witness": ["witness"]},
        collected={"m1", "m2"},
        calls=[CALL],
    )
    return judge(replace(evidence, **changes))  # type: ignore[arg-type]  # of a field each


def test_what_is_whole_is_clean() -> None:
    found = verdict()
    assert found.is_clean, found.flaws
    assert (found.runs, found.events, found.failed, found.repeated) == (1, 2, 0, 0)


def test_a_repetition_is_no_flaw() -> None:
    found = verdict([START, START, END, START])
    assert found.is_clean, found.flaws
    assert found.repeated == 2


@pytest.mark.parametrize(
    ("flaw", "found"),
    [
        ("lost", verdict([START])),
        ("lost", verdict(facts=Counter({("trove.instance.create", "i1"): 1}))),
        ("lost", verdict(collected={"m1"})),
        ("lost", verdict(calls=[CALL, replace(CALL, request_id="req-2")])),
        ("doubled", verdict([START, END, event(END.event_type, "m3", LATER)], collected={"m1", "m2", "m3"})),
        (
            "doubled",
            verdict(
                [START, END, event(END.event_type, "m3", LATER, run_id="r2")], collected={"m1", "m2", "m3"}
            ),
        ),
        ("out_of_order", verdict([END, START])),
        ("unended", verdict([START], runs=[replace(RUN, ended=None, ending=None)], collected={"m1"})),
        ("untrue", verdict([START, event(END.event_type, "m2", NOON)])),
        ("untrue", verdict(calls=[replace(CALL, began=LATER)])),
    ],
)
def test_each_flaw_is_seen_and_no_other(flaw: str, found: Verdict) -> None:
    counts = {name: getattr(found, name) for name in ("lost", "doubled", "out_of_order", "unended", "untrue")}
    assert {name for name, count in counts.items() if count} == {flaw}, found.flaws
    assert counts[flaw] == 1
    assert not found.is_clean
