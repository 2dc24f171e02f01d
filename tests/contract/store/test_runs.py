"""Runs: begun once, claimed once, ended once."""

from datetime import timedelta

import pytest
from tests.support.rows import NOON, new_run
from tests.support.threads import together

from coffer.store import runs
from coffer.store.database import Database
from coffer.store.runs import Run

LATER = NOON + timedelta(seconds=5)


def added(database: Database, *rows: Run) -> None:
    with database.writing() as tx:
        for row in rows:
            runs.insert(tx, row)


def fetched(database: Database, run: Run) -> Run:
    with database.reading() as tx:
        found = runs.get(tx, run.run_id)
    assert found is not None
    return found


def ids(found: list[Run]) -> set[str]:
    return {run.run_id for run in found}


def test_a_run_comes_back_as_it_was_written(database: Database) -> None:
    run = new_run(instance_id="i-1", cluster_id="c-1", item="orders", user_id=None, traits='{"a": "\\u0000"}')
    added(database, run)
    assert fetched(database, run) == run
    with database.reading() as tx:
        assert runs.get(tx, "unknown") is None


def test_of_sixteen_that_end_a_run_exactly_one_wins(database: Database) -> None:
    run = new_run()
    added(database, run)

    def work(number: int) -> bool:
        with database.writing() as tx:
            return runs.end(tx, run.run_id, LATER, ending="error", message=f"by {number}")

    won = together(16, work)
    assert sorted(won) == [False] * 15 + [True]
    ended = fetched(database, run)
    assert (ended.ended_at, ended.ending, ended.message) == (LATER, "error", f"by {won.index(True)}")


def test_an_ended_run_cannot_be_changed(database: Database) -> None:
    run = new_run()
    added(database, run)
    with database.writing() as tx:
        assert runs.end(
            tx,
            run.run_id,
            LATER,
            ending="error",
            error_code="cloud_failed",
            fault="system",
            message="No port.",
        )
    ended = fetched(database, run)
    with database.writing() as tx:
        assert not runs.end(tx, run.run_id, LATER, ending="end")
        assert not runs.claim(tx, run.run_id, "task-1", LATER)
        assert not runs.hand_over(tx, run.run_id, "i-1")
        assert not runs.adopt(tx, run.run_id, "api-1", "task-1")
        assert runs.open_runs(tx) == []
    assert fetched(database, run) == ended
    assert (ended.error_code, ended.fault) == ("cloud_failed", "system")


def test_a_run_that_was_rolled_back_can_still_be_ended(database: Database) -> None:
    run = new_run()
    added(database, run)

    with pytest.raises(ZeroDivisionError), database.writing() as tx:  # noqa: PT012
        assert runs.end(tx, run.run_id, LATER, ending="end")
        raise ZeroDivisionError
    with database.writing() as tx:
        assert runs.end(tx, run.run_id, LATER, ending="error")


def test_of_sixteen_that_claim_a_run_exactly_one_wins(database: Database) -> None:
    run = new_run()
    added(database, run)

    def work(number: int) -> bool:
        with database.writing() as tx:
            return runs.claim(tx, run.run_id, f"task-{number}", LATER)

    won = together(16, work)
    assert sum(won) == 1
    claimed = fetched(database, run)
    assert (claimed.claimed_by, claimed.claimed_at) == (f"task-{won.index(True)}", LATER)


def test_a_run_that_a_guest_works_on_is_not_claimed(database: Database) -> None:
    run = new_run()
    added(database, run)
    with database.writing() as tx:
        assert runs.hand_over(tx, run.run_id, "i-1")
        assert not runs.claim(tx, run.run_id, "task-1", LATER)
    assert fetched(database, run).handed_to == "i-1"


def test_runs_are_overdue_from_their_deadline_on(database: Database) -> None:
    due, early, ended = new_run(deadline_at=LATER), new_run(), new_run(deadline_at=NOON)
    added(database, due, early, ended)
    with database.writing() as tx:
        runs.end(tx, ended.run_id, NOON, ending="end")
        assert runs.overdue(tx, LATER - timedelta(microseconds=1)) == []
        assert runs.overdue(tx, LATER) == [due]
        assert ids(runs.open_runs(tx)) == {due.run_id, early.run_id}


def test_orphans_are_open_runs_whose_worker_is_dead(database: Database) -> None:
    unclaimed = new_run(owner="dead")
    claimed_by_dead = new_run(owner="alive", claimed_by="dead", claimed_at=NOON)
    rows = [
        unclaimed,
        claimed_by_dead,
        new_run(owner="dead", claimed_by="alive", claimed_at=NOON),
        new_run(owner="dead", handed_to="i-1"),
        new_run(owner="alive", claimed_by="dead", claimed_at=NOON, handed_to="i-1"),
        new_run(owner="dead", ended_at=NOON, ending="end"),
        new_run(owner="alive"),
    ]
    added(database, *rows)
    with database.reading() as tx:
        assert ids(runs.orphaned(tx, ["dead", "buried"])) == {unclaimed.run_id, claimed_by_dead.run_id}
        assert runs.orphaned(tx, []) == []


def test_of_sixteen_that_adopt_an_orphan_exactly_one_wins(database: Database) -> None:
    run = new_run(owner="api-1", claimed_by="dead", claimed_at=NOON)
    added(database, run)

    def work(number: int) -> bool:
        with database.writing() as tx:
            return runs.adopt(tx, run.run_id, "dead", f"task-{number}")

    won = together(16, work)
    assert sum(won) == 1
    adopted = fetched(database, run)
    assert (adopted.owner, adopted.claimed_by) == (f"task-{won.index(True)}", None)
    with database.writing() as tx:
        assert runs.orphaned(tx, ["dead"]) == []
        assert runs.claim(tx, run.run_id, "task-99", LATER)
