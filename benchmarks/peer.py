"""What coffer is compared with: oslo.messaging's Notifier, and py-amqp with nothing around it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import amqp
from tests.support.messaging import messaging_conf
from tests.support.rabbitmq import RabbitNode

from coffer.wire import transport

EXCHANGE = "trove"
KEY = "notifications.info"
WINDOW = 500


class Notifier:
    """oslo.messaging's Notifier on a durable queue; each notification waits for its own confirmation."""

    def __init__(self, node: RabbitNode) -> None:
        """Connect to the broker."""
        transport.oslo()  # silences what it says at its first import
        import oslo_messaging  # noqa: TID251 - the peer, not a part of coffer

        conf = messaging_conf(node.url)
        self._transport = oslo_messaging.get_notification_transport(conf)
        self._notifier = oslo_messaging.Notifier(
            self._transport, publisher_id="api.bench", driver="messagingv2", topics=["notifications"], retry=0
        )

    def info(self, body: bytes) -> None:
        """Send the event of a sealed message again, in the peer's own envelope."""
        message: dict[str, Any] = json.loads(json.loads(body)["oslo.message"])
        context = {key[9:]: value for key, value in message.items() if key.startswith("_context_")}
        self._notifier.info(context, message["event_type"], message["payload"])

    def close(self) -> None:
        """Disconnect."""
        self._transport.cleanup()


class Bare:
    """py-amqp with a window of confirmations, and no database: the limit of what a Python relay could reach."""

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


@contextmanager
def peers(node: RabbitNode) -> Iterator[tuple[Notifier, Bare]]:
    """Give both, connected."""
    bare = Bare(node)
    notifier = Notifier(node)
    try:
        yield notifier, bare
    finally:
        notifier.close()
        bare.close()
