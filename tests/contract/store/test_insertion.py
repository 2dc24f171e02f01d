"""Messages go past SQLAlchemy to the driver; all that the store relies on there holds on this way too."""

from datetime import datetime

import pytest
from tests.support.rows import NOON, new_message

from coffer.store import outbox
from coffer.store.database import Database
from coffer.store.errors import StoreRefused

COUNTS = [1, 2, 7, 8, 30]
"""One goes to a driver in another way than several."""


@pytest.mark.parametrize("count", COUNTS)
def test_the_first_statement_of_a_transaction_belongs_to_it(database: Database, count: int) -> None:
    with pytest.raises(ZeroDivisionError), database.writing() as tx:  # noqa: PT012
        outbox.append(tx, [new_message() for _ in range(count)])
        raise ZeroDivisionError
    with database.reading() as tx:
        assert outbox.backlog(tx).count == 0


@pytest.mark.parametrize("count", COUNTS)
def test_so_does_a_later_one(database: Database, count: int) -> None:
    with pytest.raises(ZeroDivisionError), database.writing() as tx:  # noqa: PT012
        outbox.append(tx, [new_message()])
        outbox.append(tx, [new_message() for _ in range(count)])
        raise ZeroDivisionError
    with database.reading() as tx:
        assert outbox.backlog(tx).count == 0


def test_messages_are_taken_after_every_way_that_a_transaction_can_end(database: Database) -> None:
    """psycopg prepares what it has seen a few times, and has the server forget it all when it rolls back."""
    for _ in range(10):
        with database.writing() as tx:
            outbox.append(tx, [new_message()])
            outbox.append(tx, [new_message()])
            outbox.backlog(tx)
        with pytest.raises(ZeroDivisionError), database.writing() as tx:  # noqa: PT012
            outbox.backlog(tx)
            outbox.append(tx, [new_message()])
            raise ZeroDivisionError
    with database.reading() as tx:
        assert outbox.backlog(tx).count == 20


@pytest.mark.parametrize("before", [[], [b"before"]])
def test_a_savepoint_takes_its_messages_back_and_no_others(database: Database, before: list[bytes]) -> None:
    with database.writing() as tx:
        outbox.append(tx, [new_message(body=body) for body in before])
        with pytest.raises(ZeroDivisionError), database.savepoint(tx):  # noqa: PT012
            outbox.append(tx, [new_message(body=b"within")])
            raise ZeroDivisionError
        outbox.append(tx, [new_message(body=b"after")])
    with database.reading() as tx:
        assert [row.body for row in outbox.head(tx, 10)] == [*before, b"after"]


@pytest.mark.parametrize("count", COUNTS)
def test_what_a_message_says_arrives_whole(database: Database, count: int) -> None:
    strange = {"run_id": "Ľ'\"\\%s$1", "event_type": "é;--", "severity": "error", "body": bytes(range(256))}
    with database.writing() as tx:
        outbox.append(tx, [new_message()])
        outbox.append(tx, [new_message(**strange) for _ in range(count)])
    with database.reading() as tx:
        columns = "SELECT run_id, event_type, severity, body FROM outbox ORDER BY id"
        rows = tx.exec_driver_sql(columns).all()[1:]
        oldest = outbox.backlog(tx).oldest_created_at
    assert [tuple(row) for row in rows] == [tuple(strange.values())] * count
    assert oldest == NOON


@pytest.mark.parametrize("is_first", [True, False])
def test_a_moment_without_a_zone_is_refused(database: Database, is_first: bool) -> None:
    naive = datetime(2026, 11, 28)  # noqa: DTZ001
    with pytest.raises(ValueError, match="naive"), database.writing() as tx:  # noqa: PT012
        if not is_first:
            outbox.append(tx, [new_message()])
        outbox.append(tx, [new_message(created_at=naive)])


@pytest.mark.parametrize("is_first", [True, False])
def test_a_message_that_is_refused_undoes_the_transaction(database: Database, is_first: bool) -> None:
    with pytest.raises(StoreRefused), database.writing() as tx:  # noqa: PT012
        if not is_first:
            outbox.append(tx, [new_message()])
        outbox.append(tx, [new_message(event_type=None)])
    with database.writing() as tx:
        assert outbox.backlog(tx).count == 0
        outbox.append(tx, [new_message()])


@pytest.mark.postgresql
def test_a_text_is_not_cut_where_the_database_has_no_such_character(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    with pytest.raises(StoreRefused), database.writing() as tx:  # noqa: PT012
        outbox.append(tx, [new_message()])
        outbox.append(tx, [new_message(event_type="trove\0instance")])
    database.close()
