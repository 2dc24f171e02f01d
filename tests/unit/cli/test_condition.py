from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from coffer.cli.condition import Condition
from coffer.store.outbox import Backlog
from coffer.store.runs import Run
from coffer.store.services import Service

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


SERVICE = Service(id="s-1", kind="api", host="h", pid=7, started_at=ago(900), seen_at=ago(2))
RUN = Run(
    run_id="run-1",
    operation="instance_create",
    request_id="req-1",
    project_id="acme",
    user_id=None,
    traits="{}",
    client_ip="",
    context="{}",
    owner="s-1",
    started_at=ago(100),
    deadline_at=NOW + timedelta(seconds=500),
)
WELL = Condition(
    now=NOW, services=[SERVICE], backlog=Backlog(3, ago(5)), open_runs=[RUN], relay_holder="relay@h"
)


def test_a_working_control_plane_has_no_problem() -> None:
    assert WELL.problems() == []


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        (replace(WELL, services=[]), "No service is running."),
        (
            replace(WELL, services=[replace(SERVICE, seen_at=ago(31))]),
            "Service api s-1 has been silent for 31 s.",
        ),
        (
            replace(WELL, services=[replace(SERVICE, trouble="the broker is away")]),
            "Service api s-1 says: the broker is away",
        ),
        (replace(WELL, relay_holder=None), "No relay is alive: events stay in the outbox."),
        (replace(WELL, backlog=Backlog(9, ago(600))), "Events have been waiting for the broker for 10 min."),
        (
            replace(WELL, open_runs=[RUN, replace(RUN, deadline_at=ago(31))]),
            "1 open run(s) are past their deadline: no watchdog is at work.",
        ),
    ],
)
def test_what_is_wrong_is_said(condition: Condition, problem: str) -> None:
    assert condition.problems() == [problem]


def test_a_deadline_that_has_just_passed_is_left_to_the_watchdog() -> None:
    assert replace(WELL, open_runs=[replace(RUN, deadline_at=ago(29))]).problems() == []


def test_a_clock_that_runs_ahead_makes_no_negative_age() -> None:
    assert replace(WELL, backlog=Backlog(1, NOW + timedelta(seconds=9))).oldest_waiting_s == 0.0
