"""A consumer of notifications that has nothing of coffer's: a queue of its own, py-amqp, the standard library."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import amqp
from tests.support.rabbitmq import RabbitNode

EXCHANGE = "trove"
KEYS = ("notifications.info", "notifications.error")
_RETRY_S = 0.2
_POLL_S = 0.2
_PREFETCH = 200


@dataclass(frozen=True)
class Arrival:
    """One message as it came: perhaps not for the first time."""

    at: datetime
    key: str
    body: bytes

    @cached_property
    def message(self) -> dict[str, Any]:
        """The message inside the envelope."""
        inside: dict[str, Any] = json.loads(json.loads(self.body)["oslo.message"])
        return inside

    @property
    def message_id(self) -> str:
        """What a repetition has in common with the first."""
        return str(self.message["message_id"])

    @property
    def event_type(self) -> str:
        """What happened."""
        return str(self.message["event_type"])

    @property
    def run_id(self) -> str | None:
        """Whose start or ending it is, if it is one."""
        run_id: str | None = self.message["payload"].get("run_id")
        return run_id

    @property
    def timestamp(self) -> datetime:
        """When it happened, as the message says."""
        return datetime.strptime(self.message["timestamp"], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)


def first_arrivals(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Return the arrivals without the repetitions, in order."""
    firsts: dict[str, Arrival] = {}
    for arrival in arrivals:
        firsts.setdefault(arrival.message_id, arrival)
    return list(firsts.values())


class Listener:
    """Keeps everything that arrives in a durable queue of its own, through all outages of the broker."""

    def __init__(self, node: RabbitNode, queue: str = "witness") -> None:
        """Bind `queue` to both severities; raises if the broker is not there now."""
        self._node = node
        self._queue = queue
        self._arrivals: list[Arrival] = []
        self._stopping = threading.Event()
        self.connections = 0
        self._close(self._connect())
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        """Listen in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._stopping.set()
        self._thread.join(30)

    def arrivals(self) -> list[Arrival]:
        """Return what has come so far, repetitions included, in order."""
        return self._arrivals.copy()

    def _connect(self) -> Any:
        connection: Any = amqp.Connection(
            host=f"127.0.0.1:{self._node.port}",
            userid=self._node.user,
            password=self._node.password,
            connect_timeout=2,
            read_timeout=5,
            write_timeout=5,
        )
        try:
            connection.connect()
            channel = connection.channel()
            channel.auto_decode = False
            channel.exchange_declare(EXCHANGE, "topic", durable=True, auto_delete=False)
            channel.queue_declare(self._queue, durable=True, auto_delete=False)
            for key in KEYS:
                channel.queue_bind(self._queue, EXCHANGE, key)
            channel.basic_qos(0, _PREFETCH, a_global=False)
        except BaseException:
            self._close(connection)
            raise
        return connection

    def _close(self, connection: Any) -> None:
        try:
            connection.close()
        except (OSError, amqp.AMQPError):
            connection.collect()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                connection = self._connect()
            except (OSError, amqp.AMQPError):
                self._stopping.wait(_RETRY_S)
                continue
            self.connections += 1
            try:
                self._listen(connection)
            except (OSError, amqp.AMQPError):
                continue
            finally:
                self._close(connection)

    def _listen(self, connection: Any) -> None:
        channel = connection.channel(1)
        channel.basic_consume(self._queue, callback=self._keep)
        while not self._stopping.is_set():
            try:
                connection.drain_events(timeout=_POLL_S)
            except TimeoutError:
                continue

    def _keep(self, message: Any) -> None:
        key = message.delivery_info["routing_key"]
        self._arrivals.append(Arrival(datetime.now(UTC), key, bytes(message.body)))
        message.channel.basic_ack(message.delivery_tag)
