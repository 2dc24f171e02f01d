"""A connection to the broker of which anything may stop half-way."""

import contextlib
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace

import amqp
import pytest
from tests.support.messaging import messaging_conf
from tests.support.queues import channel, delete_queue
from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_for

from coffer.wire import transport
from coffer.wire.amqp_link import AmqpLink
from coffer.wire.amqp_settings import AmqpSettings

pytestmark = pytest.mark.rabbitmq

IN_THE_FRAME = 20
"""Bytes: more than a frame's header, less than the first frame of a delivery."""


class Wire:
    """Carries one connection to the broker, and can stop in the middle of what the broker says."""

    def __init__(self, target: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.is_held = threading.Event()
        self._target = target
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(("127.0.0.1", self._target))
        self._ends += [near, far]
        threading.Thread(target=self._carry, args=(near, far), daemon=True).start()
        self._carry(far, near, may_stop=True)

    def _carry(self, source: socket.socket, sink: socket.socket, *, may_stop: bool = False) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(65_536):
                if may_stop and not self.goes_on.is_set():
                    sink.sendall(block[:IN_THE_FRAME])
                    self.is_held.set()
                    self.goes_on.wait()
                    block = block[IN_THE_FRAME:]
                sink.sendall(block)

    def close(self) -> None:
        self.goes_on.set()
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def wire(rabbit: RabbitNode) -> Iterator[Wire]:
    made = Wire(rabbit.port)
    yield made
    made.close()


@pytest.fixture
def settings(rabbit: RabbitNode, wire: Wire) -> AmqpSettings:
    given: AmqpSettings = transport.oslo().rpc_amqp_settings(messaging_conf(rabbit.url))
    through: AmqpSettings = replace(given, hosts=tuple(replace(host, port=wire.port) for host in given.hosts))
    return through


@pytest.fixture
def queue(rabbit: RabbitNode) -> Iterator[str]:
    name = uuid.uuid4().hex
    with channel(rabbit) as opened:
        opened.queue_declare(name, durable=True, auto_delete=False)
    yield name
    delete_queue(rabbit, name)


def look(link: AmqpLink, looks: list[bool]) -> None:
    """Look again and again for a second; what was sent may take a moment to be there."""
    until_s = time.monotonic() + 1
    while time.monotonic() < until_s:
        looks.append(link.drain(0))


def test_half_a_frame_holds_nobody_up_who_does_not_wait(
    rabbit: RabbitNode, wire: Wire, settings: AmqpSettings, queue: str
) -> None:
    """py-amqp, told not to wait, would ask for the other half again and again, for ever."""
    got: list[bytes] = []
    link = AmqpLink(settings, name="test")
    link.consume(queue, 10, lambda _tag, body: got.append(body))
    wire.goes_on.clear()
    with channel(rabbit) as opened:
        opened.basic_publish(amqp.Message(b"whole"), routing_key=queue)
    wait_for(wire.is_held.is_set, 10, "the broker to stop in the middle")

    looks: list[bool] = []
    looking = threading.Thread(target=look, args=(link, looks), daemon=True)
    looking.start()
    looking.join(30)
    assert not looking.is_alive()
    assert not any(looks)
    assert got == []

    wire.goes_on.set()
    wait_for(lambda: link.drain(0.1) and got, 10, "the other half")
    assert got == [b"whole"]
    link.close()
