"""What a service and its broker of RPC must agree on, looked after on a real broker."""

import logging
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.support.messaging import messaging_conf
from tests.support.queues import channel, delete_queue
from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_for

from coffer.wire import transport
from coffer.wire.amqp_settings import AmqpSettings
from coffer.wire.broker_watch import BrokerWatch

pytestmark = pytest.mark.rabbitmq

SEEN_S = 20.0


@pytest.fixture
def topic() -> str:
    return f"tasks-{uuid.uuid4().hex}"


@pytest.fixture
def settings(rabbit: RabbitNode) -> AmqpSettings:
    conf = messaging_conf(rabbit.url, publish_timeout_s=0.5)
    found: AmqpSettings = transport.oslo().rpc_amqp_settings(conf)
    return found


@pytest.fixture
def watch(settings: AmqpSettings, topic: str) -> Iterator[BrokerWatch]:
    made = BrokerWatch(settings, name="test", queues=(topic,), interval_s=0.05)
    yield made
    made.stop()


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.ERROR]


def test_where_all_agree_nothing_is_wrong(watch: BrokerWatch, caplog: pytest.LogCaptureFixture) -> None:
    watch.start()
    assert (watch.trouble(), watch.disagrees()) == (None, False)
    assert complaints(caplog) == []


def test_a_queue_that_was_declared_otherwise_is_named_once_until_it_is_gone(
    rabbit: RabbitNode, watch: BrokerWatch, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = {"x-queue-type": "quorum"}
    with channel(rabbit) as opened:
        opened.queue_declare(topic, durable=True, auto_delete=False, arguments=arguments)
    for _ in range(3):
        watch.look()

    assert watch.disagrees()
    trouble = watch.trouble()
    assert trouble is not None
    for part in (f"queue {topic} exists", "x-queue-type = quorum", "rabbit_quorum_queue", "delete the queue"):
        assert part in trouble
    assert [part for part in complaints(caplog) if "broker mismatch" in part] == complaints(caplog)
    assert len(complaints(caplog)) == 1

    delete_queue(rabbit, topic)
    watch.look()
    assert (watch.trouble(), watch.disagrees()) == (None, False)


def test_an_exchange_that_was_declared_otherwise_is_found_by_those_who_only_send(
    rabbit: RabbitNode, settings: AmqpSettings, topic: str
) -> None:
    with channel(rabbit) as opened:
        opened.exchange_declare(topic, "topic", durable=False, auto_delete=False)
    watch = BrokerWatch(replace(settings, exchange=topic), name="api")
    watch.look()
    watch.stop()

    assert watch.disagrees()
    assert "amqp_durable_queues" in (watch.trouble() or "")


@pytest.mark.parametrize("how", ["freeze", "kill"])
def test_a_broker_that_does_not_answer_is_said_once_and_holds_nobody_up(
    rabbit: RabbitNode, watch: BrokerWatch, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    watch.start()
    getattr(rabbit, how)()
    wait_for(watch.trouble, SEEN_S, "the watch to notice")
    # Silence shows before the look that is under way has given up; that is what writes the line.
    wait_for(lambda: complaints(caplog), SEEN_S, "the watch to say so")
    assert not watch.disagrees()
    rabbit.revive()
    wait_for(lambda: watch.trouble() is None, SEEN_S, "the watch to be content")
    assert len(complaints(caplog)) == 1
