"""Outbox, relay, RabbitMQ, consumer, collector: the way of an event on the real broker, while that one dies."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.contract.relay.conftest import Outbox
from tests.support.messages import HAPPENED, message
from tests.support.messaging import messaging_conf
from tests.support.rabbitmq import RabbitNode, started_node
from tests.support.waiting import wait_for

from coffer.collector import migrate
from coffer.collector.collector import Collector
from coffer.collector.database import Database as CollectorDatabase
from coffer.collector.events import StoredEvent
from coffer.collector.queries import Filter, count, find
from coffer.relay.relay import Relay
from coffer.store import outbox
from coffer.store.database import Database
from coffer.store.outbox import OutboxRow
from coffer.wire import transport

pytestmark = pytest.mark.rabbitmq

RUNS = 500


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def rabbit() -> Iterator[RabbitNode]:
    with started_node() as node:
        yield node


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    """One kind is enough here: what dies is the broker."""
    database = Database(sqlite_url)
    yield database
    database.close()


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[CollectorDatabase]:
    database = CollectorDatabase(f"sqlite:///{tmp_path}/collector.db")
    migrate.upgrade(database)
    yield database
    database.close()


@contextmanager
def at_work(rabbit: RabbitNode, database: Database, archive: CollectorDatabase) -> Iterator[Relay]:
    """A collector that listens and a relay that is not started, on queues that no other test has."""
    name = uuid.uuid4().hex
    conf = messaging_conf(
        rabbit.url,
        oslo_messaging_notifications__topics=[f"notifications-{name}"],
        collector_queue=f"collector-{name}",
        publish_timeout_s=3.0,
    )
    consumer = transport.consumer(conf, Collector(archive, now).receive)
    relay = Relay(database, transport.publisher(conf), f"relay-{name}", now)
    consumer.start()
    try:
        # What is published before the collector's queue is there, is not for the collector.
        wait_for(lambda: consumer.is_connected, 20, "the collector to have its queue")
        yield relay
    finally:
        relay.stop()
        consumer.stop()


def write_runs(database: Database, first: int, last: int) -> None:
    """Each run's start and ending in a transaction of its own, as operations write them."""
    for number in range(first, last):
        for step, severity in ((0, "info"), (1, "error" if number % 5 == 0 else "info")):
            name = f"{number}/{step}"
            body = message(
                name,
                severity=severity,
                timestamp=HAPPENED + timedelta(seconds=number, microseconds=step),
                payload={"tenant_id": "acme", "run_id": f"run-{number}"},
            )
            row = OutboxRow(
                run_id=f"run-{number}", event_type="x", severity=severity, created_at=now(), body=body
            )
            with database.writing() as tx:
                outbox.append(tx, [row])


def archived(archive: CollectorDatabase) -> list[StoredEvent]:
    with archive.reading() as tx:
        return list(find(tx, Filter()))


def how_many(archive: CollectorDatabase) -> int:
    with archive.reading() as tx:
        return count(tx, Filter())


def at_the_broker(rabbit: RabbitNode) -> str:
    """What the broker has and who listens, for whoever has to find out where events are."""
    columns = ("name", "state", "messages_ready", "messages_unacknowledged", "consumers")
    queues = rabbit.control("list_queues", *columns)
    return queues + rabbit.control("list_bindings")


def test_nothing_is_lost_and_runs_keep_their_order_while_the_broker_dies_twice(
    rabbit: RabbitNode, database: Database, box: Outbox, archive: CollectorDatabase
) -> None:
    writer = threading.Thread(target=write_runs, args=(database, 0, RUNS))
    written = {f"{number}/{step}" for number in range(RUNS) for step in range(2)}
    with at_work(rabbit, database, archive) as relay:
        rabbit.kill()
        relay.start()
        writer.start()
        wait_for(lambda: relay.status().outages, 20, "the relay to notice that the broker is away")
        rabbit.start()
        wait_for(lambda: how_many(archive) > RUNS // 4, 60, "the first events to arrive")
        rabbit.kill()
        rabbit.start()
        writer.join()
        wait_for(lambda: not box.left(), 90, "the outbox to be empty")
        with suppress(AssertionError):
            wait_for(lambda: how_many(archive) == 2 * RUNS, 60, "all events to arrive")
        missing = written - {event.message_id for event in archived(archive)}
        assert not missing, (sorted(missing), at_the_broker(rabbit))
        assert relay.status().outages == ()
    events = archived(archive)
    assert {event.message_id for event in events} == written
    arrival = {event.message_id: event.id or 0 for event in events}
    wrong = [number for number in range(RUNS) if arrival[f"{number}/0"] > arrival[f"{number}/1"]]
    assert wrong == []
    for event in events:
        number, step = map(int, event.message_id.split("/"))
        assert event.timestamp == HAPPENED + timedelta(seconds=number, microseconds=step)
