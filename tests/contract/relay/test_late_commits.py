"""Numbers are given out when a message is written, and seen when it is committed: the relay passes nobody by."""

import threading
from collections.abc import Callable, Iterator

import pytest
from tests.contract.relay.conftest import BEGINNING, Clock, Outbox
from tests.support.publishers import MemoryBroker

from coffer.relay.relay import Relay
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
