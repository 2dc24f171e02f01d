"""Publishes messages one by one, from any thread, each confirmed by the broker within a limit of time.

It keeps a few connections, made when they are needed. What no queue took is said to be so.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from coffer.wire.amqp_link import AmqpLink
from coffer.wire.amqp_settings import AmqpSettings
from coffer.wire.delivery import NotDeliveredError
from coffer.wire.publisher import BrokerUnavailable

LOG = logging.getLogger(__name__)

Result = TypeVar("Result")

_PARALLEL = 8
_PAUSE_S = 0.25


class UnroutableError(NotDeliveredError):
    """The broker is well, but nobody has a queue for it."""


class _TurnedAwayError(BrokerUnavailable):
    """The broker is well, but the queue is full."""


class _Line:
    """One confirmed connection, used by one thread at a time."""

    def __init__(self, settings: AmqpSettings, name: str) -> None:
        self.link = AmqpLink(settings, name=name)
        self._answers: list[bool] = []
        self._is_returned = False
        try:
            self.link.confirm(self._on_ack, self._on_nack, self._on_return)
        except BrokerUnavailable:
            self.link.close()
            raise

    def publish(self, body: bytes, routing_key: str, *, expires_s: float | None, until_s: float) -> None:
        """Send one and wait for the broker's word until the monotonic time `until_s`.

        Raises:
            UnroutableError: no queue wants it.
            BrokerUnavailable: it was not taken; unless it was turned away, the connection is of no use any more.
        """
        self._answers.clear()
        self._is_returned = False
        self.link.publish(body, routing_key, "", expires_s=expires_s)
        while not self._answers:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not self.link.drain(left_s):
                raise BrokerUnavailable(
                    "the broker blocks us" if self.link.blocked else "the broker is silent"
                )
        if self._is_returned:
            raise UnroutableError(f"nobody has a queue for {routing_key}")
        if not all(self._answers):
            raise _TurnedAwayError("the broker turns the message away: the queue is full")

    def _on_ack(self, _tag: int, _multiple: bool) -> None:
        self._answers.append(True)

    def _on_nack(self, _tag: int, _multiple: bool) -> None:
        self._answers.append(False)

    def _on_return(self, _correlation_id: str) -> None:
        self._is_returned = True


class Post:
    """A handful of connections to one broker, for the threads of one process."""

    def __init__(self, settings: AmqpSettings, *, name: str, parallel: int = _PARALLEL) -> None:
        """Publish to the settings' exchange; connects at the first use. `name` is what the broker shows of us."""
        self._settings = settings
        self._name = name
        self._places = threading.BoundedSemaphore(parallel)
        self._lock = threading.Lock()
        self._idle: list[_Line] = []
        self._closed = threading.Event()
        self._heart: threading.Thread | None = None

    def send(
        self, body: bytes, routing_key: str, *, timeout_s: float, expires_s: float | None = None
    ) -> None:
        """Publish, trying again until the limit; the same body each time, which its reader notices.

        Raises:
            UnroutableError: nobody has a queue for it.
            NotDeliveredError: the broker did not take it in time. It may still arrive later.
        """
        until_s = time.monotonic() + timeout_s
        self._persist(
            lambda line: line.publish(body, routing_key, expires_s=expires_s, until_s=until_s), until_s
        )

    def manage(self, work: Callable[[AmqpLink], Result], *, timeout_s: float) -> Result:
        """Do something with a connection, trying again until the limit.

        Raises:
            NotDeliveredError: the broker was not there in time.
        """
        return self._persist(lambda line: work(line.link), time.monotonic() + timeout_s)

    def renew(self, settings: AmqpSettings) -> None:
        """Connect with other settings from the next connection on."""
        self._settings = settings

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._closed.set()
        with self._lock:
            idle, self._idle = self._idle, []
        for line in idle:
            line.link.close()
        if self._heart is not None:
            self._heart.join()
            self._heart = None

    def _persist(self, work: Callable[[_Line], Result], until_s: float) -> Result:
        while True:
            try:
                with self._line(until_s) as line:
                    return work(line)
            except BrokerUnavailable as error:
                if time.monotonic() + _PAUSE_S >= until_s or self._closed.wait(_PAUSE_S):
                    raise NotDeliveredError(str(error)) from error

    @contextmanager
    def _line(self, until_s: float) -> Iterator[_Line]:
        """Lend a connection; one on which something went wrong is not used again."""
        if not self._places.acquire(timeout=max(until_s - time.monotonic(), 0)):
            raise NotDeliveredError("too many messages wait for the broker already")
        try:
            line = self._take()
            try:
                yield line
            except (UnroutableError, _TurnedAwayError):
                self._give_back(line)
                raise
            except BaseException:
                line.link.close()
                raise
            else:
                self._give_back(line)
        finally:
            self._places.release()

    def _take(self) -> _Line:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        self._start_heart()
        return _Line(self._settings, self._name)

    def _give_back(self, line: _Line) -> None:
        with self._lock:
            if not self._closed.is_set():
                self._idle.append(line)
                return
        line.link.close()

    def _start_heart(self) -> None:
        with self._lock:
            if self._heart is None and self._settings.heartbeat_s > 0 and not self._closed.is_set():
                self._heart = threading.Thread(target=self._beat, name="sealed-heart", daemon=True)
                self._heart.start()

    def _beat(self) -> None:
        """Keep idle connections alive, and drop those that have died."""
        while not self._closed.wait(min(self._settings.heartbeat_s / 4, 5.0)):
            with self._lock:
                idle, self._idle = self._idle, []
            for line in idle:
                try:
                    line.link.tick()
                except BrokerUnavailable as error:
                    LOG.info("connection to the broker lost while idle reason=%s", error)
                else:
                    self._give_back(line)
