"""What a transaction promises, on every kind of database."""

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from tests.support.rows import NOON, new_instance, new_message, new_run
from tests.support.threads import together

from coffer.store import instances, outbox, runs
from coffer.store.database import Database
from coffer.store.errors import StoreError, StoreRefused


class GaveUpError(Exception):
    pass


def test_what_one_transaction_wrote_is_there_together(database: Database) -> None:
    instance, run = new_instance(), new_run()
    with database.writing() as tx:
        instances.insert(tx, instance)
        runs.insert(tx, run)
        outbox.append(tx, [new_message(run_id=run.run_id)])
        with database.reading() as before:
            assert instances.get(before, instance.id) is None
            assert outbox.backlog(before).count == 0
    with database.reading() as tx:
        assert instances.get(tx, instance.id) == instance
        assert runs.get(tx, run.run_id) == run
        assert outbox.backlog(tx).count == 1


def test_an_exception_undoes_the_whole_transaction(database: Database) -> None:
    instance = new_instance()
    with pytest.raises(GaveUpError), database.writing() as tx:  # noqa: PT012
        instances.insert(tx, instance)
        outbox.append(tx, [new_message()])
        raise GaveUpError
    with database.reading() as tx:
        assert instances.get(tx, instance.id) is None
        assert outbox.backlog(tx).count == 0


def test_a_savepoint_undoes_its_own_writes_and_leaves_the_transaction(database: Database) -> None:
    kept, lost = new_run(), new_instance()
    with database.writing() as tx:
        runs.insert(tx, kept)
        with pytest.raises(GaveUpError), database.savepoint(tx):  # noqa: PT012
            instances.insert(tx, lost)
            raise GaveUpError
        assert runs.end(tx, kept.run_id, NOON, ending="error")
    with database.reading() as tx:
        ended = runs.get(tx, kept.run_id)
        assert ended is not None
        assert ended.ending == "error"
        assert instances.get(tx, lost.id) is None


def test_a_refused_statement_in_a_savepoint_leaves_the_transaction(database: Database) -> None:
    run = new_run()
    with database.writing() as tx:
        runs.insert(tx, run)
        with pytest.raises(StoreRefused), database.savepoint(tx):
            runs.insert(tx, run)
        assert runs.end(tx, run.run_id, NOON, ending="end")
    with database.reading() as tx:
        assert runs.open_runs(tx) == []


def test_a_refusal_quotes_neither_statement_nor_values(database: Database) -> None:
    run = new_run(context='{"password": "tiger"}')
    with database.writing() as tx:
        runs.insert(tx, run)
    with pytest.raises(StoreRefused) as refusal, database.writing() as tx:
        runs.insert(tx, run)
    for text in (str(refusal.value), repr(refusal.value)):
        assert "tiger" not in text
        assert run.run_id not in text
        assert "INSERT" not in text
    assert refusal.value.__suppress_context__


def test_reading_cannot_write(database: Database) -> None:
    with pytest.raises(StoreError), database.reading() as tx:
        outbox.append(tx, [new_message()])
    with database.writing() as tx:
        outbox.append(tx, [new_message()])


def test_reading_waits_for_no_writer_and_sees_one_moment(database: Database) -> None:
    with database.reading() as tx:
        assert outbox.backlog(tx).count == 0
        with database.writing() as writing:
            outbox.append(writing, [new_message()])
        assert outbox.backlog(tx).count == 0
    with database.reading() as tx:
        assert outbox.backlog(tx).count == 1


def test_writing_inside_writing_is_refused_instead_of_waiting_for_itself(database: Database) -> None:
    with database.writing(), pytest.raises(RuntimeError), database.writing():
        pass
    with database.writing() as tx:
        outbox.append(tx, [new_message()])


def test_many_threads_write_without_losing_anything(database: Database) -> None:
    def work(number: int) -> None:
        for _ in range(10):
            with database.writing() as tx:
                outbox.append(tx, [new_message(body=str(number).encode())])

    together(16, work)
    with database.reading() as tx:
        bodies = [row.body for row in outbox.head(tx, 1000)]
    assert sorted(bodies) == sorted(str(number).encode() for number in range(16) for _ in range(10))


def test_readers_go_on_while_a_writer_holds_its_transaction(database: Database) -> None:
    is_read = threading.Event()

    def read(_number: int) -> None:
        with database.reading() as tx:
            outbox.backlog(tx)
        is_read.set()

    with database.writing() as tx:
        outbox.append(tx, [new_message()])
        together(8, read)
        assert is_read.is_set()


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 3, 29, 1, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 3, 29, 2, 0, 0, 1, tzinfo=timezone(timedelta(hours=2))),
        datetime(1999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-11, minutes=-30))),
    ],
)
def test_a_moment_comes_back_in_utc_to_the_microsecond(database: Database, moment: datetime) -> None:
    instance = new_instance(created_at=moment)
    with database.writing() as tx:
        instances.insert(tx, instance)
        found = instances.get(tx, instance.id)
    assert found is not None
    assert found.created_at == moment
    assert found.created_at.tzinfo is UTC


def test_moments_are_ordered_as_time_whatever_their_zone(database: Database) -> None:
    early = new_run(deadline_at=datetime(2026, 3, 29, 13, 0, 0, 5, tzinfo=timezone(timedelta(hours=2))))
    late = new_run(deadline_at=datetime(2026, 3, 29, 11, 0, 0, 6, tzinfo=UTC))
    with database.writing() as tx:
        runs.insert(tx, late)
        runs.insert(tx, early)
        assert [run.run_id for run in runs.open_runs(tx)] == [early.run_id, late.run_id]
        between = datetime(2026, 3, 29, 10, 0, 0, 5, tzinfo=timezone(timedelta(hours=-1)))
        assert [run.run_id for run in runs.overdue(tx, between)] == [early.run_id]


def test_a_naive_moment_is_refused(database: Database) -> None:
    naive = NOON.replace(tzinfo=None)
    with pytest.raises(ValueError, match="naive"), database.writing() as tx:
        instances.insert(tx, new_instance(created_at=naive))


def test_strange_text_comes_back_as_it_was(database: Database) -> None:
    name = "Ľ'; DROP TABLE runs; -- \u202e\U0001f4a5 %s :x ?"
    instance = new_instance(name=name)
    with database.writing() as tx:
        instances.insert(tx, instance)
        found = instances.find(tx, instance.project_id, instance.id)
    assert found == instance
