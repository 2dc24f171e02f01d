"""The limit of what a relay in Python could reach: py-amqp with a window of confirmations, and nothing around it."""

from collections.abc import Sequence
from typing import Any

import amqp
from tests.support.rabbitmq import RabbitNode

EXCHANGE = "trove"
KEY = "notifications.info"
WINDOW = 500


class Bare:
    """One connection, one channel, no database."""

    def __init__(self, node: RabbitNode) -> None:
        """Connect, and declare what coffer declares."""
        self._connection: Any = amqp.Connection(
            host=f"127.0.0.1:{node.port}", userid=node.user, password=node.password, confirm_publish=False
        )
        self._connection.connect()
        self._channel = self._connection.channel()
        self._channel.exchange_declare(EXCHANGE, "topic", durable=True, auto_delete=False)
        self._channel.queue_declare(KEY, durable=True, auto_delete=False)
        self._channel.queue_bind(KEY, EXCHANGE, KEY)
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._acknowledged = self._published = 0

    def publish(self, bodies: Sequence[bytes]) -> None:
        """Publish, and return when everything is confirmed."""
        for body in bodies:
            self._channel.basic_publish(
                amqp.Message(
                    body, delivery_mode=2, content_type="application/json", content_encoding="utf-8"
                ),
                exchange=EXCHANGE,
                routing_key=KEY,
                mandatory=True,
            )
            self._published += 1
            if self._published - self._acknowledged >= WINDOW:
                self._connection.drain_events(timeout=10)
        while self._acknowledged < self._published:
            self._connection.drain_events(timeout=10)

    def empty(self) -> None:
        """Throw away what is in the queues."""
        for key in (KEY, "notifications.error"):
            self._channel.queue_declare(key, durable=True, auto_delete=False)
            self._channel.queue_purge(key)

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def _on_ack(self, delivery_tag: int, multiple: bool) -> None:
        self._acknowledged = delivery_tag if multiple else self._acknowledged + 1
