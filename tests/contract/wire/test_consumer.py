"""The collector's side of RabbitMQ: nothing is acknowledged before it is stored, and no outage ends it."""

import threading
import uuid
from collections.abc import Callable, Iterator

import pytest
from oslo_config import cfg
from tests.support.messaging import messaging_conf, outgoing
from tests.support.queues import channel, delete_queue
from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_for

from coffer.wire import transport
from coffer.wire.consumer import Consumer

pytestmark = pytest.mark.rabbitmq


class Store:
    """Keeps batches; fails as long as it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.attempts = 0
        self.is_broken = False

    def __call__(self, bodies: list[bytes]) -> None:
        self.attempts += 1
        if self.is_broken:
            raise RuntimeError("the disk is full")
        self.batches.append(bodies)

    @property
    def bodies(self) -> list[bytes]:
        return [body for batch in self.batches for body in batch]


@pytest.fixture
def conf(rabbit: RabbitNode) -> cfg.ConfigOpts:
    unique = uuid.uuid4().hex
    return messaging_conf(
        rabbit.url,
        oslo_messaging_notifications__topics=[f"notifications-{unique}"],
        collector_queue=f"collector-{unique}",
        collector_prefetch=50,
        publish_timeout_s=5,
    )


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def consumer(conf: cfg.ConfigOpts, store: Store) -> Iterator[Consumer]:
    made = transport.consumer(conf, store)
    made.start()
    wait_for(lambda: made.is_connected, 20, "the consumer")
    yield made
    assert made.stop()


@pytest.fixture
def send(conf: cfg.ConfigOpts) -> Iterator[Callable[..., list[bytes]]]:
    publisher = transport.publisher(conf)

    def publish(count: int, *, first_id: int = 1, severity: str = "info") -> list[bytes]:
        batch = outgoing(count, first_id=first_id, severity=severity)
        wait_for(lambda: len(publisher.publish(batch)) == count, 60, "the broker")
        return [message.body for message in batch]

    yield publish
    publisher.close()


Send = Callable[..., list[bytes]]


def test_everything_arrives_in_order_and_in_batches(consumer: Consumer, store: Store, send: Send) -> None:
    sent = send(600) + send(1, first_id=601, severity="error")

    wait_for(lambda: len(store.bodies) == 601, 30, "all messages")
    assert store.bodies == sent
    assert all(len(batch) <= 50 for batch in store.batches)
    assert len(store.batches) < 300


def test_malformed_bodies_are_handed_on_as_they_came(
    rabbit: RabbitNode, conf: cfg.ConfigOpts, consumer: Consumer, store: Store
) -> None:
    (topic,) = conf.oslo_messaging_notifications.topics
    strange = [b"", b"\xff\xfe not utf-8", b"{", b"[1, 2]", b'{"oslo.message": 3}']
    import amqp

    with channel(rabbit) as opened:
        for body in strange:
            opened.basic_publish(amqp.Message(body), exchange="trove", routing_key=f"{topic}.info")

    wait_for(lambda: store.bodies == strange, 20, "the malformed bodies")


def test_what_the_handler_could_not_store_comes_again(consumer: Consumer, store: Store, send: Send) -> None:
    store.is_broken = True
    sent = send(3)
    wait_for(lambda: store.attempts >= 2, 30, "a second attempt")

    store.is_broken = False

    wait_for(lambda: set(store.bodies) == set(sent), 30, "the messages")


def test_a_restart_of_the_broker_loses_nothing(
    rabbit: RabbitNode, consumer: Consumer, store: Store, send: Send
) -> None:
    before = send(100)
    rabbit.kill()
    wait_for(lambda: not consumer.is_connected, 20, "the consumer to notice")
    rabbit.start()
    after = send(100, first_id=101)

    wait_for(lambda: set(store.bodies) == set(before + after), 60, "all messages")


def test_what_is_sent_while_the_consumer_is_down_waits_for_it(
    conf: cfg.ConfigOpts, consumer: Consumer, store: Store, send: Send
) -> None:
    consumer.stop()
    sent = send(10)
    assert store.bodies == []

    consumer.start()

    wait_for(lambda: store.bodies == sent, 20, "what was sent meanwhile")


def test_a_deleted_queue_is_made_again(
    rabbit: RabbitNode, conf: cfg.ConfigOpts, consumer: Consumer, store: Store, send: Send
) -> None:
    delete_queue(rabbit, conf.collector_queue)
    wait_for(lambda: not consumer.is_connected, 20, "the consumer to notice")
    wait_for(lambda: consumer.is_connected, 20, "the consumer to come back")

    sent = send(5)

    wait_for(lambda: store.bodies == sent, 20, "the messages")


def test_a_slow_handler_is_waited_for_when_the_consumer_stops(conf: cfg.ConfigOpts, send: Send) -> None:
    entered, release = threading.Event(), threading.Event()

    def slow(_bodies: list[bytes]) -> None:
        entered.set()
        release.wait(20)

    made = transport.consumer(conf, slow)
    made.start()
    wait_for(lambda: made.is_connected, 20, "the consumer")
    send(1)
    assert entered.wait(20)

    assert not made.stop(timeout_s=0.3)
    release.set()
    assert made.stop()


def test_the_collector_needs_rabbitmq() -> None:
    with pytest.raises(ValueError, match="RabbitMQ"):
        transport.consumer(messaging_conf("kombu+memory://"), lambda _bodies: None)


def test_what_was_published_before_the_collector_first_came_waits_for_it(
    conf: cfg.ConfigOpts, store: Store
) -> None:
    publisher = transport.publisher(conf, has_collector=True)
    batch = outgoing(3, first_id=1)
    wait_for(lambda: len(publisher.publish(batch)) == 3, 60, "the broker")
    publisher.close()

    late = transport.consumer(conf, store)
    late.start()
    wait_for(lambda: len(store.bodies) == 3, 20, "what had been published")
    assert late.stop()
    assert store.bodies == [message.body for message in batch]
