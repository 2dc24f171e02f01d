"""Publishes to RabbitMQ in batches with a window of confirms; knows nothing of what it sends.

Only what a queue has taken and the broker has confirmed counts as sent: a message that the broker returns
(nobody has a queue for it), refuses, or says nothing about is left out of the answer, and the relay sends
it again.
"""

import logging
import threading
import time
from collections.abc import Sequence

from coffer.wire.amqp_link import AmqpLink, BrokerSilent
from coffer.wire.amqp_settings import SEVERITIES, AmqpSettings
from coffer.wire.confirms import Confirms
from coffer.wire.publisher import BrokerMismatch, BrokerUnavailable, Outgoing

LOG = logging.getLogger(__name__)

_CHUNK = 100
"""How many messages go out in one write, before the broker's answers are looked at."""


class AmqpPublisher:
    """A `Publisher` with one connection, made at the first use and after every failure."""

    def __init__(self, settings: AmqpSettings) -> None:
        """Publish as `settings` say."""
        self._settings = settings
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._link: AmqpLink | None = None
        self._confirms = Confirms()
        self._is_declared = False
        self._heart: threading.Thread | None = None
        self._told = ""

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[int]:
        """Send `batch` in its order and return the ids that the broker has confirmed.

        Raises:
            BrokerUnavailable: if none was.
        """
        if not batch:
            return frozenset()
        with self._lock:
            was_connected = self._link is not None
            try:
                return self._publish(batch)
            except (BrokerSilent, BrokerMismatch):
                raise
            except BrokerUnavailable:
                if not was_connected:
                    raise
            # The connection had died unnoticed since the last batch: that is no outage yet.
            return self._publish(batch)

    def close(self) -> None:
        """Close the connection; a `publish` under way ends first."""
        self._closed.set()
        with self._lock:
            self._disconnect()
        if self._heart is not None:
            self._heart.join()
            self._heart = None

    def _publish(self, batch: Sequence[Outgoing]) -> frozenset[int]:
        confirmed: set[int] = set()
        self._confirms.begin(confirmed)
        try:
            self._send_all(self._connected(), batch)
        except BrokerUnavailable as error:
            self._disconnect()
            self._tell(error)
            if not confirmed:
                raise
        else:
            self._told = ""
        if self._confirms.refused:
            # A queue may have been deleted under us: declare it again before the next batch.
            LOG.warning("broker refused messages count=%s", len(self._confirms.refused))
            self._is_declared = False
        return frozenset(confirmed)

    def _send_all(self, link: AmqpLink, batch: Sequence[Outgoing]) -> None:
        is_new = self._confirms.published == 0
        if is_new:
            # One goes ahead alone: a broker that lets us in but takes nothing (an alarm) then costs a
            # repeated message at each attempt, not a repeated batch.
            self._send(link, batch[:1])
            self._await_answers(link)
        rest = batch[1:] if is_new else batch
        for start in range(0, len(rest), _CHUNK):
            self._send(link, rest[start : start + _CHUNK])
            while link.drain(0):
                pass
            if link.blocked:
                self._await_answers(link)
        self._await_answers(link)

    def _send(self, link: AmqpLink, chunk: Sequence[Outgoing]) -> None:
        with link.corked():
            for message in chunk:
                for key in self._settings.routing_keys(message.severity):
                    self._confirms.expect(message.id)
                    link.publish(message.body, key, str(message.id))

    def _await_answers(self, link: AmqpLink) -> None:
        """Wait until every message is answered for; each answer starts the limit anew."""
        while self._confirms.outstanding:
            before = self._confirms.answered
            deadline = time.monotonic() + self._settings.timeout_s
            while self._confirms.answered == before:
                left_s = deadline - time.monotonic()
                if left_s <= 0 or not link.drain(left_s):
                    state = "blocks us" if link.blocked else "does not confirm"
                    raise BrokerSilent(f"the broker {state} for {self._settings.timeout_s} s")

    def _connected(self) -> AmqpLink:
        if self._link is None:
            self._link = AmqpLink(self._settings, name="coffer-relay")
            self._confirms.restart()
            self._link.confirm(self._confirms.on_ack, self._confirms.on_nack, self._confirms.on_return)
            self._is_declared = False
            self._start_heart()
        if not self._is_declared:
            self._declare(self._link)
            self._is_declared = True
        return self._link

    def _declare(self, link: AmqpLink) -> None:
        """Declare what oslo.messaging's notifier declares: nothing is lost before a consumer comes."""
        link.declare_exchange()
        for severity in SEVERITIES:
            for key in self._settings.routing_keys(severity):
                link.declare_queue(
                    key, (key,), durable=self._settings.durable, auto_delete=self._settings.auto_delete
                )
        if self._settings.extra_queue is not None:
            link.declare_reader_queue(self._settings.extra_queue)

    def _disconnect(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _tell(self, error: BrokerUnavailable) -> None:
        """Log a mismatch once, loudly: it does not go away by itself."""
        if isinstance(error, BrokerMismatch) and self._told != str(error):
            self._told = str(error)
            LOG.error("broker mismatch: %s", error)

    def _start_heart(self) -> None:
        if self._heart is None and self._settings.heartbeat_s > 0:
            self._heart = threading.Thread(target=self._beat, name="amqp-heart", daemon=True)
            self._heart.start()

    def _beat(self) -> None:
        """Keep the connection alive between batches."""
        while not self._closed.wait(self._settings.heartbeat_s / 4):
            with self._lock:
                if self._link is None:
                    continue
                try:
                    self._link.tick()
                except BrokerUnavailable as error:
                    LOG.info("connection to the broker lost while idle reason=%s", error)
                    self._disconnect()
