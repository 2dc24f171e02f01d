"""Numbers are given out when a message is written, and seen when it is committed: the relay passes nobody by."""

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest
from tests.contract.relay.conftest import BEGINNING, Clock, Outbox
from tests.support.publishers import MemoryBroker, PipelinedMemoryPublisher

from coffer.relay.relay import Outcome, Relay
from coffer.store import outbox
from coffer.store.database import Database
from coffer.store.outbox import OutboxRow


@pytest.fixture(
    params=[
        pytest.param("postgresql_url", marks=pytest.mark.postgresql),
        pytest.param("mariadb_url", marks=pytest.mark.mariadb),
    ]
)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """SQLite has one writer, and so no late ones."""
    opened = Database(request.getfixturevalue(request.param))
    yield opened
    opened.close()


def test_a_message_that_is_committed_after_later_ones_is_published(
    database: Database, box: Outbox, broker: MemoryBroker, clock: Clock, new_relay: Callable[..., Relay]
) -> None:
    relay = new_relay(batch_size=2)
    is_published = threading.Event()

    def publish_later_ones() -> None:
        for number in range(8):
            box.write((None, f"later {number}"))
            relay.run_once()
            clock.advance(1)
        while box.left():
            relay.run_once()
        is_published.set()

    others = threading.Thread(target=publish_later_ones)
    with database.writing() as tx:
        early = OutboxRow(run_id=None, event_type="x", severity="info", created_at=BEGINNING, body=b"early")
        outbox.append(tx, [early])
        others.start()
        others.join(60)
        assert is_published.is_set()
        assert b"early" not in broker.delivered
    relay.run_once()
    assert broker.delivered[-1] == b"early"
    assert box.left() == []
    assert sorted(broker.delivered) == sorted(
        [b"early", *(f"later {number}".encode() for number in range(8))]
    )


@pytest.mark.postgresql
def test_the_start_of_a_run_is_not_passed_by_for_having_begun_after_the_last_that_committed(
    postgresql_url: str, broker: MemoryBroker, clock: Clock
) -> None:
    with (
        contextlib.closing(Database(postgresql_url)) as database,
        contextlib.closing(Database(postgresql_url)) as another,
        contextlib.closing(Database(postgresql_url)) as third,
    ):
        box = Outbox(third)
        publisher = PipelinedMemoryPublisher(broker)
        relay = Relay(third, publisher, "relay-1", clock.now, monotonic=clock.monotonic)
        assert relay.run_once() is Outcome.IDLE  # from here on, nothing but these writes
        with database.writing() as late:
            with another.writing() as quick:
                quick.exec_driver_sql("SELECT pg_current_xact_id()")
                late.exec_driver_sql("SELECT pg_current_xact_id()")
                outbox.append(late, [_row("run", b"start")])
                outbox.append(quick, [_row(None, b"later")])
            for number in range(3):
                relay.run_once()
                box.write((None, f"later {number}"))
            relay.run_once()
        box.write(("run", "end"))
        relay.run_once()
        relay.run_once()
        assert [body for body in broker.delivered if body in {b"start", b"end"}] == [b"start", b"end"]


def _row(run_id: str | None, body: bytes) -> OutboxRow:
    return OutboxRow(run_id=run_id, event_type="x", severity="info", created_at=BEGINNING, body=body)
