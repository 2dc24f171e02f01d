"""Looks into RabbitMQ's queues as any consumer would."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import amqp
from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_for

GONE_S = 40.0


@contextmanager
def channel(node: RabbitNode) -> Iterator[Any]:
    """Give a channel of a connection of its own."""
    connection: Any = amqp.Connection(
        host=f"127.0.0.1:{node.port}", userid=node.user, password=node.password, connect_timeout=10
    )
    connection.connect()
    try:
        opened = connection.channel()
        opened.auto_decode = False
        yield opened
    finally:
        connection.close()


def take_all(node: RabbitNode, queue: str) -> list[Any]:
    """Take every message out of a queue."""
    with channel(node) as opened:
        messages = []
        while (message := opened.basic_get(queue, no_ack=True)) is not None:
            messages.append(message)
        return messages


def bodies(node: RabbitNode, queue: str) -> list[bytes]:
    """Take the body of every message out of a queue."""
    return [bytes(message.body) for message in take_all(node, queue)]


def left_in(node: RabbitNode, queue: str) -> int:
    """Return how many messages are in a queue once nobody consumes it any more.

    The broker puts back what a consumer has not acknowledged when it notices that it is gone, not before.
    """
    with channel(node) as opened:

        def seen() -> Any:
            return opened.queue_declare(queue, passive=True)

        wait_for(lambda: seen().consumer_count == 0, GONE_S, f"{queue} to have no consumer")
        return int(seen().message_count)


def delete_queue(node: RabbitNode, queue: str) -> None:
    """Delete a queue and what is in it."""
    with channel(node) as opened:
        opened.queue_delete(queue)
