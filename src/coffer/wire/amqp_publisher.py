"""Publishes to RabbitMQ in batches with a window of confirms; knows nothing of what it sends.

Only what a queue has taken and the broker has confirmed counts as sent: a message that the broker returns
(nobody has a queue for it), refuses, or says nothing about is left out of the answer, and the relay sends
it again.
"""

import logging
import threading
import time
from collections.abc import Collection, Sequence

from coffer.wire.amqp_link import AmqpLink, BrokerSilent
from coffer.wire.amqp_settings import SEVERITIES, AmqpSettings
from coffer.wire.confirms import Confirms
from coffer.wire.publisher import BrokerMismatch, BrokerUnavailable, Outgoing

LOG = logging.getLogger(__name__)

_CHUNK = 100
"""How many messages go out in one write, before the broker's answers are looked at."""


class _Flight:
    """Messages on one connection, up to its delivery tag `last`."""

    def __init__(self, publisher: "AmqpPublisher", ids: frozenset[int]) -> None:
        self._publisher = publisher
        self.ids = ids
        self.last = 0
        self.broken: BrokerUnavailable | None = None
        """Why the connection that carried it is gone."""
        self.confirmed: frozenset[int] = frozenset()
        """What was confirmed before that."""

    def land(self) -> frozenset[int]:
        return self._publisher.land(self)


class AmqpPublisher:
    """A `PipelinedPublisher` with one connection, made at the first use and after every failure."""

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
        self._flights: list[_Flight] = []

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[int]:
        """Send `batch` in its order and return the ids that the broker has confirmed.

        Raises:
            BrokerUnavailable: if none was.
        """
        if not batch:
            return frozenset()
        with self._lock:
            assert not self._flights, "flights must land first"
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

    def send(self, batch: Sequence[Outgoing]) -> _Flight:
        """Send `batch` in its order and return without having waited for the answers.

        Raises:
            BrokerUnavailable: if the connection broke.
        """
        flight = _Flight(self, frozenset(message.id for message in batch))
        with self._lock:
            if not self._flights:
                self._refresh()
                self._confirms.begin(set())
            self._flights.append(flight)
            try:
                self._send_without_waiting(self._connected(), batch)
            except BrokerUnavailable as error:
                self._break(error)
                if not flight.confirmed:
                    raise
            flight.last = self._confirms.published
        return flight

    def land(self, flight: _Flight) -> frozenset[int]:
        """Wait until the broker has answered for all of `flight`; return what it confirmed.

        Raises:
            BrokerUnavailable: if that is nothing.
        """
        with self._lock:
            if flight.broken is None:
                assert self._link is not None, "whoever disconnects breaks the flights"
                try:
                    self._await_answers(self._link, up_to=flight.last)
                except BrokerUnavailable as error:
                    self._break(error)
            if flight.broken is not None:
                if not flight.confirmed:
                    raise flight.broken
                return flight.confirmed
            self._flights.remove(flight)
            self._told = ""
            confirmed, refused = self._confirms.take(flight.ids)
            self._note_refused(refused)
            return confirmed

    def close(self) -> None:
        """Close the connection; a `publish` under way ends first."""
        self._closed.set()
        with self._lock:
            self._break(BrokerUnavailable("the publisher is closed"))
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
        self._note_refused(self._confirms.refused)
        return frozenset(confirmed)

    def _note_refused(self, refused: Collection[int]) -> None:
        if refused:
            # A queue may have been deleted under us: declare it again before the next batch.
            LOG.warning("broker refused messages count=%s", len(refused))
            self._is_declared = False

    def _refresh(self) -> None:
        """Notice a connection that died since the last batch: that is no outage yet, a new one will do."""
        if self._link is None:
            return
        try:
            self._link.tick()
        except BrokerUnavailable as error:
            LOG.info("connection to the broker lost while idle reason=%s", error)
            self._disconnect()

    def _break(self, error: BrokerUnavailable) -> None:
        """Give the connection up, and note for every flight on it what is known of its messages."""
        self._disconnect()
        self._tell(error)
        for flight in self._flights:
            flight.confirmed, _ = self._confirms.take(flight.ids)
            flight.broken = error
        self._flights.clear()

    def _send_all(self, link: AmqpLink, batch: Sequence[Outgoing]) -> None:
        self._send_without_waiting(link, batch)
        self._await_answers(link)

    def _send_without_waiting(self, link: AmqpLink, batch: Sequence[Outgoing]) -> None:
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

    def _send(self, link: AmqpLink, chunk: Sequence[Outgoing]) -> None:
        parts = []
        for message in chunk:
            for key in self._settings.routing_keys(message.severity):
                self._confirms.expect(message.id)
                parts.append((message.body, key, str(message.id)))
        link.publish_all(parts)

    def _await_answers(self, link: AmqpLink, *, up_to: int | None = None) -> None:
        """Wait until every message (up to a tag) is answered for; each answer starts the limit anew."""
        last = self._confirms.published if up_to is None else up_to
        while not self._confirms.is_answered(last):
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
                    self._break(error)
