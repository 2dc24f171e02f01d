"""Looks into RabbitMQ's queues as any consumer would."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import amqp
from tests.support.rabbitmq import RabbitNode


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


def delete_queue(node: RabbitNode, queue: str) -> None:
    """Delete a queue and what is in it."""
    with channel(node) as opened:
        opened.queue_delete(queue)
