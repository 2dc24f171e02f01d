"""The outbox: in order, byte by byte, until it is deleted."""

from datetime import timedelta

from tests.support.rows import NOON, new_message, new_run
from tests.support.threads import together

from coffer.store import outbox, runs
from coffer.store.database import Database
from coffer.store.outbox import Backlog


def filled(database: Database, count: int) -> list[int]:
    with database.writing() as tx:
        outbox.append(tx, [new_message(body=str(number).encode()) for number in range(count)])
    with database.reading() as tx:
        return [row.id for row in outbox.head(tx, count)]


def test_messages_come_in_the_order_of_writing_with_their_bytes(database: Database) -> None:
    bodies = [bytes(range(256)), b"", b"x" * 200_000, '{"name": "Ľ"}'.encode()]
    with database.writing() as tx:
        outbox.append(tx, [new_message(body=body, severity="error", run_id="r-1") for body in bodies[:2]])
        outbox.append(tx, [])
        outbox.append(tx, [new_message(body=body) for body in bodies[2:]])
    with database.reading() as tx:
        found = outbox.head(tx, 10)
    assert [row.body for row in found] == bodies
    assert [(row.severity, row.run_id) for row in found] == [("error", "r-1")] * 2 + [("info", None)] * 2
    assert [row.id for row in found] == sorted(row.id for row in found)


def test_the_head_is_limited_and_can_start_after_a_number(database: Database) -> None:
    numbers = filled(database, 10)
    with database.reading() as tx:
        assert [row.id for row in outbox.head(tx, 3)] == numbers[:3]
        assert [row.id for row in outbox.head(tx, 3, after=numbers[4])] == numbers[5:8]
        assert outbox.head(tx, 3, after=numbers[-1]) == []


def test_the_head_passes_over_thousands_that_are_excluded(database: Database) -> None:
    numbers = filled(database, 12)
    excluded = {*numbers[:5], *range(1_000_000, 1_040_000)}
    with database.reading() as tx:
        assert [row.id for row in outbox.head(tx, 3, excluding=excluded)] == numbers[5:8]
        assert [row.id for row in outbox.head(tx, 3, after=numbers[6], excluding=excluded)] == numbers[7:10]


def test_only_the_named_messages_are_deleted(database: Database) -> None:
    numbers = filled(database, 6)
    with database.writing() as tx:
        assert outbox.delete(tx, [numbers[4], numbers[1], 999_999]) == 2
        assert outbox.delete(tx, []) == 0
        assert [row.id for row in outbox.head(tx, 10)] == [numbers[i] for i in (0, 2, 3, 5)]


def test_thousands_are_deleted_at_once(database: Database) -> None:
    numbers = filled(database, 2_500)
    with database.writing() as tx:
        assert outbox.delete(tx, frozenset(numbers[:-1])) == 2_499
        assert [row.id for row in outbox.head(tx, 10)] == [numbers[-1]]


def test_a_number_is_never_given_twice(database: Database) -> None:
    numbers = filled(database, 3)
    with database.writing() as tx:
        outbox.delete(tx, numbers)
    assert filled(database, 1)[0] > numbers[-1]


def test_the_backlog_tells_count_and_age(database: Database) -> None:
    with database.writing() as tx:
        assert outbox.backlog(tx) == Backlog(count=0, oldest_created_at=None)
        outbox.append(tx, [new_message(created_at=NOON + timedelta(seconds=age)) for age in (3, 7)])
    with database.reading() as tx:
        assert outbox.backlog(tx) == Backlog(count=2, oldest_created_at=NOON + timedelta(seconds=3))


def test_a_runs_start_always_stands_before_its_ending(database: Database) -> None:
    """Start and ending are written in two transactions, among those of many others."""

    def work(_number: int) -> str:
        run = new_run()
        for phase in (b"start", b"end"):
            with database.writing() as tx:
                if phase == b"start":
                    runs.insert(tx, run)
                outbox.append(tx, [new_message(run_id=run.run_id, body=phase)])
        return run.run_id

    begun = together(16, work)
    with database.reading() as tx:
        found = outbox.head(tx, 100)
    for run_id in begun:
        assert [row.body for row in found if row.run_id == run_id] == [b"start", b"end"]
