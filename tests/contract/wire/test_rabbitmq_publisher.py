"""What the publisher promises when RabbitMQ, its queues, or the network between, do not behave."""

import contextlib
import gc
import json
import logging
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from oslo_config import cfg
from tests.support.messaging import ids, messaging_conf, outgoing
from tests.support.queues import bodies, channel, delete_queue, take_all
from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_for

from coffer.wire import transport
from coffer.wire.amqp_publisher import AmqpPublisher
from coffer.wire.amqp_settings import AmqpHost, AmqpSettings
from coffer.wire.publisher import BrokerMismatch, BrokerUnavailable

pytestmark = pytest.mark.rabbitmq

LIMIT_S = 2.0


@pytest.fixture
def topic() -> str:
    return f"notifications-{uuid.uuid4().hex}"


@pytest.fixture
def conf(rabbit: RabbitNode, topic: str) -> cfg.ConfigOpts:
    return messaging_conf(rabbit.url, oslo_messaging_notifications__topics=[topic], publish_timeout_s=LIMIT_S)


@pytest.fixture
def settings(conf: cfg.ConfigOpts) -> AmqpSettings:
    made: AmqpSettings = transport.oslo().amqp_settings(conf)
    return made


@pytest.fixture
def publisher(settings: AmqpSettings) -> Iterator[AmqpPublisher]:
    made = AmqpPublisher(settings)
    yield made
    made.close()


def test_messages_are_persistent_json_in_durable_queues(
    rabbit: RabbitNode, topic: str, publisher: AmqpPublisher
) -> None:
    publisher.publish(outgoing(1))

    with channel(rabbit) as opened:
        opened.queue_declare(f"{topic}.info", durable=True, auto_delete=False)
        opened.queue_declare(f"{topic}.error", durable=True, auto_delete=False)
        opened.exchange_declare("trove", "topic", durable=True, auto_delete=False)
    (message,) = take_all(rabbit, f"{topic}.info")
    assert message.properties["delivery_mode"] == 2
    assert message.properties["content_type"] == "application/json"
    assert message.properties["content_encoding"] == "utf-8"


def test_what_no_queue_wants_is_not_confirmed_and_goes_through_later(
    rabbit: RabbitNode, topic: str, publisher: AmqpPublisher
) -> None:
    publisher.publish(outgoing(1))
    delete_queue(rabbit, f"{topic}.info")
    batch = outgoing(20, first_id=100)
    errors = outgoing(1, first_id=200, severity="error")

    assert publisher.publish(batch + errors) == {200}

    assert publisher.publish(batch) == ids(batch)
    assert bodies(rabbit, f"{topic}.info") == [message.body for message in batch]


def test_what_a_full_queue_refuses_is_not_confirmed(
    rabbit: RabbitNode, topic: str, publisher: AmqpPublisher
) -> None:
    publisher.publish(outgoing(1))
    policy = json.dumps({"max-length": 5, "overflow": "reject-publish"})
    rabbit.control("set_policy", "full", f"^{topic}\\.info$", policy, "--apply-to", "queues")
    try:
        confirmed = publisher.publish(outgoing(50, first_id=10))
    finally:
        rabbit.control("clear_policy", "full")

    arrived = [json.loads(json.loads(body)["oslo.message"]) for body in bodies(rabbit, f"{topic}.info")]
    assert confirmed == {message["payload"]["number"] for message in arrived} - {1}
    assert 0 < len(confirmed) < 50


def test_nothing_confirmed_is_lost_when_the_broker_is_killed(
    rabbit: RabbitNode, topic: str, publisher: AmqpPublisher
) -> None:
    batch = outgoing(20_000)
    publisher.publish(batch[:1])
    killer = threading.Thread(target=_kill_when_busy, args=(rabbit, topic))
    killer.start()
    confirmed = set(publisher.publish(batch))
    killer.join()

    rabbit.start()

    assert 0 < len(confirmed) < len(batch)
    rest = [message for message in batch if message.id not in confirmed]
    confirmed |= publisher.publish(rest)
    assert confirmed == ids(batch)
    arrived = set(bodies(rabbit, f"{topic}.info"))
    assert {message.body for message in batch} <= arrived


def _kill_when_busy(rabbit: RabbitNode, topic: str) -> None:
    with contextlib.suppress(OSError), channel(rabbit) as opened:
        wait_for(
            lambda: opened.queue_declare(f"{topic}.info", passive=True).message_count > 500,
            30,
            "messages in the queue",
        )
        rabbit.kill()


def test_a_frozen_broker_is_unavailable_within_the_limit(
    rabbit: RabbitNode, topic: str, publisher: AmqpPublisher
) -> None:
    publisher.publish(outgoing(1))
    batch = outgoing(5000, first_id=2)

    rabbit.freeze()
    started = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        publisher.publish(batch)
    waited_s = time.monotonic() - started
    with pytest.raises(BrokerUnavailable):
        publisher.publish(batch)
    rabbit.thaw()

    assert waited_s < LIMIT_S + 3
    assert publisher.publish(batch) == ids(batch)
    assert {message.body for message in batch} <= set(bodies(rabbit, f"{topic}.info"))


def test_an_alarmed_broker_blocks_us_for_the_limit_only(
    rabbit: RabbitNode, topic: str, publisher: AmqpPublisher
) -> None:
    publisher.publish(outgoing(1))
    batch = outgoing(300, first_id=2)

    rabbit.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="blocks us"):
            publisher.publish(batch)
        waited_s = time.monotonic() - started
        for _ in range(3):
            with pytest.raises(BrokerUnavailable):
                publisher.publish(batch)
    finally:
        rabbit.control("set_vm_memory_high_watermark", "absolute", "1GB")

    assert waited_s < LIMIT_S + 3
    assert publisher.publish(batch) == ids(batch)
    arrived = bodies(rabbit, f"{topic}.info")
    assert {message.body for message in batch} <= set(arrived)
    # Each attempt after the first sent one message ahead, not the batch.
    assert len(arrived) <= 1 + 2 * len(batch) + 3


def test_a_connection_that_died_while_idle_is_no_outage(rabbit: RabbitNode, publisher: AmqpPublisher) -> None:
    publisher.publish(outgoing(1))
    rabbit.kill()
    rabbit.start()
    batch = outgoing(3, first_id=2)

    assert publisher.publish(batch) == ids(batch)


def test_a_broker_that_is_away_is_said_at_once_and_found_again(
    rabbit: RabbitNode, publisher: AmqpPublisher
) -> None:
    rabbit.kill()
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="no broker answers"):
            publisher.publish(outgoing(1))
        assert time.monotonic() - started < 1
    rabbit.start()

    assert publisher.publish(outgoing(1)) == {1}


def test_the_next_node_is_tried_when_the_first_is_away(
    rabbit: RabbitNode, topic: str, settings: AmqpSettings
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = replace(settings.hosts[0], port=nobody.getsockname()[1])
        publisher = AmqpPublisher(replace(settings, hosts=(away, *settings.hosts)))
        try:
            assert publisher.publish(outgoing(1)) == {1}
        finally:
            publisher.close()
    assert len(bodies(rabbit, f"{topic}.info")) == 1


def test_a_password_that_is_wrong_is_unavailability_without_the_password(
    rabbit: RabbitNode, settings: AmqpSettings, caplog: pytest.LogCaptureFixture
) -> None:
    host = settings.hosts[0]
    wrong = AmqpHost(host=host.host, port=rabbit.port, user=host.user, password="s3cr3t-and-wrong")
    publisher = AmqpPublisher(replace(settings, hosts=(wrong,)))
    with caplog.at_level(logging.DEBUG), pytest.raises(BrokerUnavailable) as refused:
        publisher.publish(outgoing(1))
    publisher.close()

    assert "s3cr3t" not in str(refused.value) + caplog.text + repr(wrong)


def test_connections_that_fail_leave_no_descriptors_behind(
    settings: AmqpSettings, publisher: AmqpPublisher
) -> None:
    wrong = AmqpPublisher(replace(settings, hosts=(replace(settings.hosts[0], password="wrong"),)))
    publisher.publish(outgoing(1))

    def fail(times: int) -> int:
        for _ in range(times):
            with pytest.raises(BrokerUnavailable):
                wrong.publish(outgoing(1))
        return len(list(Path("/proc/self/fd").iterdir()))

    gc.disable()  # else it would tidy up after us
    try:
        assert fail(times=5) == fail(times=5)
    finally:
        gc.enable()
        wrong.close()


@pytest.mark.parametrize("durable", [True, False])
def test_a_queue_declared_otherwise_is_a_mismatch_that_names_the_option(
    rabbit: RabbitNode, topic: str, settings: AmqpSettings, durable: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with channel(rabbit) as opened:
        opened.queue_declare(f"{topic}.info", durable=not durable, auto_delete=False)
    # An exchange of its own: the shared one is durable.
    publisher = AmqpPublisher(replace(settings, exchange=topic, durable=durable))
    try:
        for _ in range(2):
            with pytest.raises(BrokerMismatch) as refused:
                publisher.publish(outgoing(1))
    finally:
        publisher.close()

    for part in (f"queue {topic}.info", f"durable = {str(not durable).lower()}", "amqp_durable_queues"):
        assert part in str(refused.value)
    assert sum("broker mismatch" in record.message for record in caplog.records) == 1


def test_a_quorum_queue_where_a_classic_one_is_asked_for_is_a_mismatch(
    rabbit: RabbitNode, topic: str, publisher: AmqpPublisher
) -> None:
    with channel(rabbit) as opened:
        opened.queue_declare(
            f"{topic}.info", durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"}
        )

    with pytest.raises(BrokerMismatch, match=r"x-queue-type = quorum.*rabbit_quorum_queue"):
        publisher.publish(outgoing(1))


def test_an_exchange_declared_otherwise_is_a_mismatch(
    rabbit: RabbitNode, topic: str, settings: AmqpSettings
) -> None:
    with channel(rabbit) as opened:
        opened.exchange_declare(topic, "topic", durable=False, auto_delete=False)
    publisher = AmqpPublisher(replace(settings, exchange=topic))
    try:
        with pytest.raises(
            BrokerMismatch, match=f"exchange {topic} exists on the broker with durable = false"
        ):
            publisher.publish(outgoing(1))
    finally:
        publisher.close()


def test_quorum_queues_work_when_configured(rabbit: RabbitNode, topic: str) -> None:
    conf = messaging_conf(
        f"{rabbit.url}?rabbit_quorum_queue=true", oslo_messaging_notifications__topics=[topic]
    )
    publisher = transport.publisher(conf)
    try:
        batch = outgoing(30)
        assert publisher.publish(batch) == ids(batch)
        assert bodies(rabbit, f"{topic}.info") == [message.body for message in batch]
    finally:
        publisher.close()


def test_heartbeats_keep_an_idle_connection_and_notice_a_dead_one(
    rabbit: RabbitNode, settings: AmqpSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    publisher = AmqpPublisher(replace(settings, heartbeat_s=1))
    try:
        publisher.publish(outgoing(1))
        rabbit.kill()
        wait_for(lambda: "lost while idle" in caplog.text, 10, "the heart to notice")
    finally:
        publisher.close()


def test_two_flights_are_under_way_and_land_in_order(
    rabbit: RabbitNode, topic: str, publisher: AmqpPublisher
) -> None:
    batches = [outgoing(500, first_id=1 + 500 * number) for number in range(4)]
    under_way = [publisher.send(batch) for batch in batches[:2]]
    for number, batch in enumerate(batches):
        assert under_way.pop(0).land() == ids(batch)
        if number < 2:
            under_way.append(publisher.send(batches[number + 2]))

    assert bodies(rabbit, f"{topic}.info") == [message.body for batch in batches for message in batch]


def test_what_is_refused_of_one_flight_is_missing_from_that_flight_only(
    rabbit: RabbitNode, topic: str, publisher: AmqpPublisher
) -> None:
    publisher.publish(outgoing(1))
    delete_queue(rabbit, f"{topic}.info")

    first = publisher.send(outgoing(20, first_id=100))
    second = publisher.send(outgoing(5, first_id=200, severity="error"))

    assert first.land() == frozenset()
    assert second.land() == frozenset(range(200, 205))
    assert publisher.send(outgoing(20, first_id=100)).land() == set(range(100, 120))


def test_flights_on_a_broker_that_dies_tell_what_arrived_or_raise(
    rabbit: RabbitNode, topic: str, publisher: AmqpPublisher
) -> None:
    publisher.publish(outgoing(1))
    safe = publisher.send(outgoing(10, first_id=10))
    assert safe.land() == set(range(10, 20))
    rabbit.freeze()
    flights = [publisher.send(outgoing(20, first_id=100 * number)) for number in (1, 2)]
    rabbit.kill()
    for flight in flights:
        with pytest.raises(BrokerUnavailable):
            flight.land()
    rabbit.start()

    assert publisher.send(outgoing(5, first_id=1000)).land() == set(range(1000, 1005))
    assert len(bodies(rabbit, f"{topic}.info")) == 16


def test_a_connection_that_died_while_idle_is_no_outage_for_flights_either(
    rabbit: RabbitNode, publisher: AmqpPublisher
) -> None:
    publisher.publish(outgoing(1))
    rabbit.kill()
    rabbit.start()

    assert publisher.send(outgoing(3, first_id=2)).land() == {2, 3, 4}
