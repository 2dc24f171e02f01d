"""The contract of the port `Publisher`, on each of its adapters."""

import base64
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from kombu.transport import memory  # noqa: TID251 - looks into the broker's twin
from tests.support.messaging import MEMORY_URL, ids, inside, messaging_conf, notification, outgoing
from tests.support.queues import bodies

from coffer.wire import transport
from coffer.wire.envelope import open_envelope, seal
from coffer.wire.json import JSON
from coffer.wire.local_publisher import LocalPublisher
from coffer.wire.publisher import Outgoing, Publisher


@dataclass
class Case:
    """A publisher, and what its consumers find under a severity."""

    publisher: Publisher
    arrived: Callable[[str], list[bytes]]


def _local(_request: pytest.FixtureRequest) -> Case:
    stored: list[bytes] = []
    return Case(
        publisher=LocalPublisher([stored.extend]),
        arrived=lambda severity: [
            body for body in stored if str(open_envelope(body)["priority"]).lower() == severity
        ],
    )


def _oslo(_request: pytest.FixtureRequest) -> Case:
    topic = f"notifications-{uuid.uuid4().hex}"
    conf = messaging_conf(MEMORY_URL, oslo_messaging_notifications__topics=[topic])

    def arrived(severity: str) -> list[bytes]:
        queue = memory.Channel.queues.get(f"{topic}.{severity}")
        return [] if queue is None else [_memory_body(each) for each in list(queue.queue)]

    return Case(publisher=transport.publisher(conf), arrived=arrived)


def _memory_body(message: dict[str, JSON]) -> bytes:
    properties = message["properties"]
    assert isinstance(properties, dict)
    assert properties["body_encoding"] == "base64"
    return base64.b64decode(str(message["body"]))


def _rabbitmq(request: pytest.FixtureRequest) -> Case:
    node = request.getfixturevalue("rabbit")
    topic = f"notifications-{uuid.uuid4().hex}"
    conf = messaging_conf(node.url, oslo_messaging_notifications__topics=[topic])
    return Case(
        publisher=transport.publisher(conf), arrived=lambda severity: bodies(node, f"{topic}.{severity}")
    )


@pytest.fixture(
    params=[
        pytest.param(_local, id="local"),
        pytest.param(_oslo, id="oslo"),
        pytest.param(_rabbitmq, id="rabbitmq", marks=pytest.mark.rabbitmq),
    ]
)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    made: Case = request.param(request)
    yield made
    made.publisher.close()


def test_every_message_is_confirmed_and_arrives_in_order(case: Case) -> None:
    first, second = outgoing(700), outgoing(3, first_id=701)

    assert case.publisher.publish(first) == ids(first)
    assert case.publisher.publish(second) == ids(second)

    sent = [message.body for message in first + second]
    assert inside(case.arrived("info")) == inside(sent)


def test_an_empty_batch_is_confirmed_at_once(case: Case) -> None:
    assert case.publisher.publish([]) == frozenset()


def test_each_severity_goes_its_own_way(case: Case) -> None:
    batch = outgoing(2) + outgoing(2, first_id=3, severity="error")

    assert case.publisher.publish(batch) == ids(batch)

    assert [open_envelope(body)["priority"] for body in case.arrived("info")] == ["INFO", "INFO"]
    assert [open_envelope(body)["priority"] for body in case.arrived("error")] == ["ERROR", "ERROR"]


def test_a_message_sent_again_is_the_same_byte_for_byte(case: Case) -> None:
    (message,) = outgoing(1)

    case.publisher.publish([message])
    case.publisher.publish([message])

    first, second = inside(case.arrived("info"))
    assert first == second == inside([message.body])[0]


def test_strange_texts_arrive_as_they_were_sealed(case: Case) -> None:
    payload: dict[str, JSON] = {"name": "naïve ☃ \x00 '; DROP TABLE \U0001f600", "big": "x" * 300_000}
    message = Outgoing(id=9, severity="info", body=seal(notification(payload=payload)))

    assert case.publisher.publish([message]) == {9}

    (arrived,) = case.arrived("info")
    received = open_envelope(arrived)["payload"]
    assert isinstance(received, dict)
    assert {key: received[key] for key in payload} == payload


def test_closing_twice_does_no_harm(case: Case) -> None:
    case.publisher.publish(outgoing(1))

    case.publisher.close()
    case.publisher.close()
