"""What goes to PostgreSQL with the commit: all of it or nothing, in order, and nobody else waits for it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from tests.support.rows import new_message
from tests.support.waiting import wait_for

from coffer.store import outbox
from coffer.store.database import Database
from coffer.store.errors import StoreError, StoreRefused, StoreUnavailable, translated

pytestmark = pytest.mark.postgresql

PID = "SELECT pg_backend_pid()"
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
LOCK = "LOCK TABLE outbox IN EXCLUSIVE MODE"


class Interruption(BaseException):
    """As a signal's handler raises it."""


@pytest.fixture
def database(postgresql_url: str) -> Iterator[Database]:
    """A database with one connection that is kept; a lock that is not granted is an error in the end."""
    opened = Database(f"{postgresql_url}?options=-c%20lock_timeout%3D20s", pool_size=1)
    yield opened
    opened.close()


@pytest.fixture
def other(postgresql_url: str) -> Iterator[Database]:
    """Somebody else on the same database."""
    opened = Database(postgresql_url)
    yield opened
    opened.close()


def bodies(database: Database) -> list[bytes]:
    with database.reading() as tx:
        return [row.body for row in outbox.head(tx, 10_000)]


def is_waiting(other: Database) -> bool:
    with other.reading() as tx:
        return tx.exec_driver_sql(WAITING).first() is not None


def a_writer(database: Database) -> threading.Thread:
    """Start a thread that appends a message."""

    def write() -> None:
        with database.writing() as tx:
            outbox.append(tx, [new_message(body=b"late")])

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def append_after_reading(database: Database) -> None:
    with database.writing() as tx:
        tx.exec_driver_sql(PID)
        outbox.append(tx, [new_message(body=b"late")])


def test_more_than_the_connection_holds_arrives_in_order(database: Database) -> None:
    """Many answers in one direction, and megabytes in the other."""
    expected = [number.to_bytes(4, "big") * (2_000 if number % 10 else 50_000) for number in range(4_000)]
    with database.writing() as tx:
        outbox.append(tx, [new_message(body=body) for body in expected])
    assert bodies(database) == expected


def test_nothing_is_left_in_the_way_of_the_next_transaction(database: Database) -> None:
    with database.writing() as tx:
        backend = tx.exec_driver_sql(PID).scalar()
    for _ in range(20):
        with database.writing() as tx:
            tx.exec_driver_sql(PID)
            outbox.append(tx, [new_message(), new_message()])
            assert tx.exec_driver_sql(PID).scalar() == backend
        with pytest.raises(StoreRefused) as refusal, database.writing() as tx:  # noqa: PT012
            outbox.append(tx, [new_message(), new_message(event_type=None), new_message()])
            tx.exec_driver_sql(PID)
        assert refusal.value.kind == "NotNullViolation", "not that what came after it was not done either"
        with pytest.raises(ZeroDivisionError), database.writing() as tx:  # noqa: PT012
            outbox.append(tx, [new_message()])
            raise ZeroDivisionError
    assert len(bodies(database)) == 40


ONLY_READ_COMMITTED = """
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN RAISE 'another isolation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER look BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION look()
"""


@pytest.mark.parametrize("is_first", [True, False])
def test_a_transaction_of_messages_alone_is_like_any_other(
    postgresql_url: str, other: Database, is_first: bool
) -> None:
    with other.writing() as tx:
        tx.exec_driver_sql(ONLY_READ_COMMITTED)
    database = Database(f"{postgresql_url}?options=-c%20default_transaction_isolation%3Dserializable")
    with database.writing() as tx:
        if not is_first:
            tx.exec_driver_sql(PID)
        outbox.append(tx, [new_message()])
    assert len(bodies(database)) == 1
    database.close()


def test_a_connection_that_broke_is_said_and_replaced(database: Database, other: Database) -> None:
    with pytest.raises(StoreUnavailable), database.writing() as tx:  # noqa: PT012
        backend = tx.exec_driver_sql(PID).scalar()
        outbox.append(tx, [new_message()])
        with other.writing() as their:
            their.exec_driver_sql(f"SELECT pg_terminate_backend({backend}, 30000)")
    assert bodies(database) == []
    with database.writing() as tx:
        outbox.append(tx, [new_message(body=b"after")])
    assert bodies(database) == [b"after"]


def test_whoever_gets_the_place_of_a_broken_connection_keeps_what_is_theirs(
    database: Database, other: Database
) -> None:
    """The pool gives what belongs to a connection to the next one, even before the first has noticed all of it."""
    with pytest.raises(StoreUnavailable), database.writing() as tx:  # noqa: PT012
        backend = tx.exec_driver_sql(PID).scalar()
        with other.writing() as their:
            their.exec_driver_sql(f"SELECT pg_terminate_backend({backend}, 30000)")
        try:
            tx.exec_driver_sql(PID)
        finally:
            neighbour = threading.Thread(target=append_after_reading, args=(database,))
            neighbour.start()
            neighbour.join()
    assert bodies(database) == [b"late"]


def test_a_transaction_that_has_failed_does_not_end_as_if_it_had_not(database: Database) -> None:
    """PostgreSQL answers COMMIT with a rollback there, and no error."""
    with pytest.raises(StoreError), database.writing() as tx:  # noqa: PT012
        with suppress(StoreError), translated("it"):
            tx.exec_driver_sql("SELECT 1 / 0")
        outbox.append(tx, [new_message()])
    assert bodies(database) == []


def test_others_go_on_while_one_waits_for_the_database(database: Database, other: Database) -> None:
    with other.writing() as their:
        their.exec_driver_sql(LOCK)
        thread = a_writer(database)
        wait_for(lambda: is_waiting(other), 10, "the writer to wait")
        assert thread.is_alive()
    thread.join()
    assert bodies(database) == [b"late"]


def test_what_is_interrupted_leaves_no_answers_behind(database: Database, other: Database) -> None:
    def interrupt(*_: object) -> None:
        raise Interruption

    def once_it_waits() -> None:
        wait_for(lambda: is_waiting(other), 20, "the commit to wait")
        signal.pthread_kill(main, signal.SIGUSR1)

    main = threading.get_ident()
    before = signal.signal(signal.SIGUSR1, interrupt)
    helper = threading.Thread(target=once_it_waits)
    try:
        with other.writing() as their:
            their.exec_driver_sql(LOCK)
            helper.start()
            with pytest.raises(Interruption), database.writing() as tx:
                outbox.append(tx, [new_message()])
    finally:
        helper.join()
        signal.signal(signal.SIGUSR1, before)
    with database.writing() as tx:
        outbox.append(tx, [new_message(body=b"after")])
    assert b"after" in bodies(database)
