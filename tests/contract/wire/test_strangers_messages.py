"""Messages whose properties would break their decoder, or whose body the memory: the link hands on bodies, bounded.

They are written to the socket by hand: no client library would.
"""

import socket
import struct
from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.support.amqp_by_hand import RawConnection
from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_for

from coffer.wire.amqp_link import AmqpLink
from coffer.wire.amqp_settings import AmqpHost, AmqpSettings

pytestmark = pytest.mark.rabbitmq

QUEUE = "strangers"
LIMIT = 1000
HEADERS, TIMESTAMP, CORRELATION_ID = 0x2000, 0x0040, 0x0400


def nested(depth: int) -> bytes:
    """A table in a table in a table, deeper than a stack."""
    table = b""
    for _ in range(depth):
        table = b"\x01aF" + struct.pack(">I", len(table)) + table
    return struct.pack(">I", len(table)) + table


HOSTILE = {
    "tables deeper than a stack": struct.pack(">H", HEADERS) + nested(8000),
    "a time that no calendar has": struct.pack(">HQ", TIMESTAMP, 2**64 - 1),
    "a text that is none": struct.pack(">HB", CORRELATION_ID, 2) + b"\xff\xfe",
}


@pytest.fixture
def settings(rabbit: RabbitNode) -> AmqpSettings:
    return AmqpSettings(
        hosts=(AmqpHost("127.0.0.1", rabbit.port, rabbit.user, rabbit.password),),
        virtual_host="/",
        exchange="strangers",
    )


@pytest.fixture
def raw(rabbit: RabbitNode) -> Iterator[RawConnection]:
    with closing(RawConnection(rabbit.port, rabbit.user, rabbit.password)) as connection:
        yield connection


def received(link: AmqpLink, count: int) -> list[bytes]:
    bodies: list[bytes] = []

    def keep(tag: int, body: bytes) -> None:
        bodies.append(body)
        link.acknowledge(tag)

    link.consume(QUEUE, 10, keep)
    wait_for(lambda: link.drain(0.05) and len(bodies) >= count, 20, f"{count} messages")
    return bodies


@pytest.mark.parametrize("what", HOSTILE)
def test_properties_are_not_read(settings: AmqpSettings, raw: RawConnection, what: str) -> None:
    with closing(AmqpLink(settings, name="strangers", strangers_limit_bytes=LIMIT)) as link:
        link.declare_exchange()
        link.declare_queue(QUEUE, (QUEUE,), durable=True, auto_delete=False)
        raw.publish("strangers", QUEUE, b"hello", properties=HOSTILE[what])
        raw.publish("strangers", QUEUE, b"after it")
        assert received(link, 2) == [b"hello", b"after it"]


def test_a_body_is_read_up_to_the_limit(settings: AmqpSettings, raw: RawConnection) -> None:
    with closing(AmqpLink(settings, name="strangers", strangers_limit_bytes=LIMIT)) as link:
        link.declare_exchange()
        link.declare_queue(QUEUE, (QUEUE,), durable=True, auto_delete=False)
        for body in (b"x" * 500_000, b"", b"y" * LIMIT, b"z" * (LIMIT + 1), b"after it"):
            raw.publish("strangers", QUEUE, body)
        found = received(link, 5)
    assert found == [b"x" * (LIMIT + 1), b"", b"y" * LIMIT, b"z" * (LIMIT + 1), b"after it"]


def test_whoever_publishes_by_hand_is_understood(rabbit: RabbitNode) -> None:
    with (
        pytest.raises((ConnectionError, socket.timeout)),
        closing(RawConnection(rabbit.port, rabbit.user, "wrong")),
    ):
        pass
