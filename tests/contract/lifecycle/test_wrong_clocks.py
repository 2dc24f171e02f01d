"""The clock of one machine is wrong: nothing ends before it began, and nobody's run is ended for it."""

import pytest
from tests.contract.lifecycle.ground import Ground

from coffer.catalogue.errors import GuestFailed
from coffer.catalogue.operations import ServerType
from coffer.lifecycle.agreed_clock import AgreedClock
from coffer.lifecycle.emitter import utcnow
from coffer.lifecycle.watchdog import Watchdog

HOUR_S = 3600


def watchdog(ground: Ground) -> Watchdog:
    return Watchdog(ground.lifecycle(ServerType.TASK), resume=lambda _: None)


@pytest.mark.parametrize("is_good", [True, False])
def test_a_run_that_ends_by_a_slower_clock_ends_as_it_begins(ground: Ground, is_good: bool) -> None:
    run = ground.one_begun("instance_restart", ground.has())
    ground.clock.forward(-HOUR_S)

    if is_good:
        ground.lifecycle().end(run.run_id)
    else:
        ground.lifecycle().fail(run.run_id, GuestFailed(reason="no"))

    assert ground.run(run).ended_at == run.started_at
    start, ending = ground.events()
    assert ending.timestamp == start.timestamp == run.started_at
    assert ending.payload["duration_s"] == 0


def test_a_fast_clock_alone_ends_no_run(ground: Ground, caplog: pytest.LogCaptureFixture) -> None:
    if ground.database.dialect == "sqlite":
        pytest.skip("SQLite has no clock of its own: there is one machine only")
    ground.clock.now = utcnow()
    run = ground.one_begun("instance_restart", ground.has())
    ground.clock.forward(HOUR_S)
    guard = watchdog(ground)

    assert [guard.sweep(), guard.sweep()] == [0, 0]

    assert ground.open_runs() == [run.run_id]
    assert caplog.text.count("the clocks of this machine and of the database differ") == 1
    ground.clock.now = utcnow()
    guard.sweep()
    assert "agree again" in caplog.text


def test_a_run_that_is_late_by_both_clocks_is_ended(ground: Ground) -> None:
    run = ground.one_begun("instance_restart", ground.has())  # months ago by the database's clock
    ground.clock.forward(HOUR_S)

    assert watchdog(ground).sweep() == 1

    assert ground.told(run) == ["instance_restart.start", "instance_restart.error"]


def test_what_is_agreed_upon_is_the_earlier_of_both(ground: Ground) -> None:
    clock = AgreedClock(ground.database, ground.clock)
    assert clock() == ground.clock.now
    before = utcnow()
    ground.clock.now = before
    ground.clock.forward(HOUR_S)
    told = clock()
    if ground.database.dialect == "sqlite":
        assert told == ground.clock.now
    else:
        assert before.replace(microsecond=0) <= told < ground.clock.now
