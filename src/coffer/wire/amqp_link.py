"""The adapter to py-amqp, which only this file and amqp_strangers import: one connection with one channel to RabbitMQ.

Every wait has a limit. Every failure is a `BrokerUnavailable`, and after one the link is closed. A link
belongs to one thread at a time.
"""

import contextlib
import logging
import os
import select
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import amqp
from amqp.exceptions import AMQPError, PreconditionFailed
from amqp.method_framing import frame_handler as amqp_frame_handler
from amqp.method_framing import frame_writer

from coffer.wire.amqp_frames import publication
from coffer.wire.amqp_settings import AmqpHost, AmqpSettings
from coffer.wire.amqp_strangers import bodies_only
from coffer.wire.mismatch import explain
from coffer.wire.publisher import BrokerMismatch, BrokerUnavailable

LOG = logging.getLogger(__name__)

_REST_S = 0.05
"""How long the rest of a frame may take, whose beginning is there, before it is looked for another time."""
_FAILURES = (AMQPError, OSError, struct.error)


class BrokerSilent(BrokerUnavailable):
    """The broker did not answer in time: frozen, blocked, or far too slow."""


class _Corked:
    """Stands between py-amqp's frames and the socket, and can hold them back to send many at once."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._held: list[bytes] | None = None

    def write(self, frame: Any) -> None:
        """Send `frame`, or keep a copy of it while corked (py-amqp reuses its buffer)."""
        if self._held is None:
            self._transport.write(frame)
        else:
            self._held.append(bytes(frame))

    def cork(self) -> None:
        """Hold back what is written from now on."""
        self._held = []

    def uncork(self) -> None:
        """Send what was held back."""
        held, self._held = self._held, None
        if held:
            self._transport.write(b"".join(held))


class AmqpLink:
    """One connection and one channel, open from its construction on."""

    def __init__(
        self, settings: AmqpSettings, *, name: str, strangers_limit_bytes: int | None = None
    ) -> None:
        """Connect to the first node that answers; `name` is what the broker shows of us.

        With `strangers_limit_bytes` whoever wrote what comes in is not trusted: of each message the body is read,
        and no more of that than one byte beyond the limit.

        Raises:
            BrokerUnavailable: if none answers.
        """
        self.settings = settings
        self.blocked = False
        self._is_open = True
        self._cork: _Corked | None = None
        limit = strangers_limit_bytes
        self._reading = amqp_frame_handler if limit is None else bodies_only(limit)
        reasons = []
        for host in settings.hosts:
            try:
                self._connection: Any = self._connect(host, f"{name}:{os.getpid()}")
                break
            except _FAILURES as error:
                reasons.append(f"{host.host}:{host.port}: {_reason(error)}")
        else:
            raise BrokerUnavailable("no broker answers: " + "; ".join(reasons))
        with self._failing():
            self._channel: Any = self._connection.channel()
            self._channel.auto_decode = False

    def _connect(self, host: AmqpHost, name: str) -> Any:
        settings = self.settings
        connection: Any = amqp.Connection(
            host=f"[{host.host}]:{host.port}" if ":" in host.host else f"{host.host}:{host.port}",
            userid=host.user,
            password=host.password,
            login_method=settings.login_method,
            virtual_host=settings.virtual_host,
            ssl=_tls(settings, host),
            connect_timeout=settings.timeout_s,
            heartbeat=settings.heartbeat_s,
            on_blocked=self._on_blocked,
            on_unblocked=self._on_unblocked,
            client_properties={"connection_name": name, "product": "coffer"},
            frame_writer=self._framing,
            frame_handler=self._reading,
        )
        try:
            connection.connect()
        except _FAILURES:
            connection.collect()
            raise
        # py-amqp leaves the socket without a limit: a frozen broker would hold a write for ever.
        connection.sock.settimeout(settings.timeout_s)
        # It would also look for news before every single publish; we look after every few.
        connection.client_properties["capabilities"] = {}
        return connection

    def _framing(self, connection: Any, transport: Any) -> Any:
        self._cork = _Corked(transport)
        return frame_writer(connection, self._cork)

    def _on_blocked(self, reason: str) -> None:
        LOG.warning("broker blocks the connection reason=%s", reason)
        self.blocked = True

    def _on_unblocked(self) -> None:
        LOG.info("broker unblocks the connection")
        self.blocked = False

    def declare_exchange(self, name: str | None = None) -> None:
        """Declare the settings' exchange, or another one, as oslo.messaging does.

        Raises:
            BrokerMismatch: if it exists and is different.
        """
        with self._failing():
            self._channel.exchange_declare(
                name or self.settings.exchange,
                "topic",
                durable=self.settings.durable,
                auto_delete=self.settings.auto_delete,
            )

    def declare_queue(
        self, name: str, routing_keys: tuple[str, ...], *, durable: bool, auto_delete: bool
    ) -> None:
        """Declare a queue and bind it to the exchange.

        Raises:
            BrokerMismatch: if it exists and is different.
        """
        with self._failing():
            self._channel.queue_declare(
                name,
                durable=durable,
                exclusive=False,
                auto_delete=auto_delete,
                arguments=dict(self.settings.queue_arguments),
            )
            for key in routing_keys:
                self._channel.queue_bind(name, self.settings.exchange, key)

    def bind_queue(self, name: str, exchange: str, routing_key: str) -> None:
        """Have what is published to another exchange with this key put into a queue."""
        with self._failing():
            self._channel.queue_bind(name, exchange, routing_key)

    def declare_own_queue(self, name: str) -> None:
        """Declare a queue for this connection alone, which goes with it, bound to the exchange by its name."""
        with self._failing():
            self._channel.queue_declare(name, durable=False, exclusive=True, auto_delete=True)
            self._channel.queue_bind(name, self.settings.exchange, name)

    def delete_queue(self, name: str) -> None:
        """Delete a queue with what is in it; one that is not there is deleted already."""
        with self._failing():
            self._channel.queue_delete(name)

    def declare_reader_queue(self, name: str) -> None:
        """Declare the durable queue of one reader of all notifications.

        Raises:
            BrokerMismatch: if it exists and is different.
        """
        self.declare_queue(name, self.settings.all_routing_keys(), durable=True, auto_delete=False)

    def confirm(
        self,
        on_ack: Callable[[int, bool], None],
        on_nack: Callable[[int, bool], None],
        on_return: Callable[[str], None],
    ) -> None:
        """Have the broker answer for each message.

        `on_ack` and `on_nack` get a delivery tag (from 1, in the order of publishing) and whether all
        before it are meant too; `on_return` gets the correlation id of a message that no queue wanted.
        """

        def returned(_error: Any, _exchange: str, _routing_key: str, message: Any) -> None:
            on_return(str(message.properties.get("correlation_id", "")))

        with self._failing():
            self._channel.confirm_select()
            self._channel.events["basic_ack"].add(on_ack)
            self._channel.events["basic_nack"].add(on_nack)
            self._channel.events["basic_return"].add(returned)

    @contextlib.contextmanager
    def corked(self) -> Iterator[None]:
        """Send what is published inside in one piece."""
        assert self._cork is not None
        with self._failing():
            self._cork.cork()
            yield
            self._cork.uncork()

    def publish(
        self, body: bytes, routing_key: str, correlation_id: str, *, expires_s: float | None = None
    ) -> None:
        """Send a persistent message that must reach a queue; the broker's answer comes with `drain`.

        After `expires_s` the broker drops it where nobody has taken it.
        """
        properties = {} if expires_s is None else {"expiration": str(max(int(expires_s * 1000), 1))}
        message = amqp.Message(
            body,
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,
            correlation_id=correlation_id,
            **properties,
        )
        with self._failing():
            self._channel.basic_publish(
                message, exchange=self.settings.exchange, routing_key=routing_key, mandatory=True
            )

    def publish_all(self, messages: Iterable[tuple[bytes, str, str]]) -> None:
        """Send persistent messages (body, routing key, correlation id) that must reach a queue, in one piece.

        Without py-amqp's method for it, whose bookkeeping costs several times as much as the sending.
        """
        exchange, frame_max = self.settings.exchange, self._connection.frame_max
        frames: list[bytes] = []
        for body, routing_key, correlation_id in messages:
            frames += publication(
                body,
                exchange=exchange,
                routing_key=routing_key,
                correlation_id=correlation_id,
                frame_max=frame_max,
            )
        with self._failing():
            self._connection.transport.write(b"".join(frames))

    def consume(self, queue: str, prefetch: int, on_message: Callable[[int, bytes], None]) -> None:
        """Have up to `prefetch` unacknowledged messages delivered; `on_message` gets tag and body."""

        def delivered(message: Any) -> None:
            body = message.body
            on_message(message.delivery_tag, body.encode() if isinstance(body, str) else bytes(body))

        with self._failing():
            self._channel.basic_qos(0, prefetch, a_global=False)
            self._channel.basic_consume(queue, callback=delivered, on_cancel=self._on_cancel)

    def _on_cancel(self, _consumer_tag: str) -> None:
        raise BrokerUnavailable("the broker has cancelled the consumer; its queue was deleted")

    def acknowledge(self, tag: int, *, up_to: bool = True) -> None:
        """Say that the message `tag`, and every one before it, is stored; or that one only."""
        with self._failing():
            self._channel.basic_ack(tag, multiple=up_to)

    def drain(self, timeout_s: float) -> bool:
        """Handle what the broker sends next; False if nothing came in `timeout_s` (0: do not wait)."""
        with self._failing():
            if not timeout_s and not self._has_news():
                return False
            try:
                # One frame: `drain_events` would start its limit anew with each heartbeat of the broker. And never
                # without any wait: for the rest of a frame py-amqp would then ask again and again, for ever.
                self._connection.blocking_read(timeout_s or _REST_S)
            except (TimeoutError, BlockingIOError):
                return False
            return True

    def _has_news(self) -> bool:
        """Say whether there is something to read, on the socket or already taken from it (of TLS: whole frames)."""
        sock, taken = self._connection.sock, self._connection.transport._read_buffer  # noqa: SLF001 - no public name
        if taken or (self.settings.tls is not None and sock.pending()):
            return True
        news = select.poll()
        news.register(sock, select.POLLIN)
        return bool(news.poll(0))

    def tick(self) -> None:
        """Keep the connection alive, notice when the broker does not; call it a few times a heartbeat."""
        while self.drain(0):
            pass
        with self._failing():
            self._connection.heartbeat_tick()

    def close(self) -> None:
        """Close the connection; a broker that is gone or frozen does not matter."""
        connection: Any = self._connection
        with contextlib.suppress(*_FAILURES):
            if self._is_open and connection.connected:
                connection.sock.settimeout(1.0)
                connection.close()
        self._collect()

    def _collect(self) -> None:
        """Let go of the socket without a word to the broker."""
        self._is_open = False
        with contextlib.suppress(*_FAILURES):
            self._connection.collect()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        if not self._is_open:
            # py-amqp would quietly open another connection, without our channel.
            raise BrokerUnavailable("the connection is closed")
        try:
            yield
        except PreconditionFailed as error:
            self._collect()
            raise BrokerMismatch(explain(str(error.reply_text))) from error
        except (TimeoutError, BlockingIOError) as error:
            self._collect()
            state = "blocks us" if self.blocked else "is silent"
            raise BrokerSilent(f"the broker {state} for {self.settings.timeout_s} s") from error
        except _FAILURES as error:
            self._collect()
            raise BrokerUnavailable(_reason(error)) from error


def _tls(settings: AmqpSettings, host: AmqpHost) -> dict[str, object] | bool:
    if settings.tls is None:
        return False
    # Without a name to compare, the certificate of any server of the same authority would do.
    return {"server_hostname": host.host, **settings.tls}


def _reason(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "the name cannot be resolved"
    return f"{type(error).__name__}: {error}"[:300]
