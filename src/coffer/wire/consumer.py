"""Receives notifications from RabbitMQ through a durable queue of its own, and acknowledges what is stored.

A body is handed on as it came, malformed or not: what to do with it is the handler's business.
"""

import logging
import random
import threading
import time
from collections.abc import Callable

from coffer.wire.amqp_link import AmqpLink
from coffer.wire.amqp_settings import AmqpSettings
from coffer.wire.publisher import BrokerMismatch, BrokerUnavailable

LOG = logging.getLogger(__name__)

Handler = Callable[[list[bytes]], None]
"""Stores the bodies before it returns; it may be given one twice."""

_POLL_S = 0.25
"""How soon an idle consumer notices that it is to stop."""
_GATHER_S = 0.01
"""How long a batch that is not full waits for more."""
_SHORTEST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0


class Consumer:
    """Runs in a thread of its own from `start` to `stop`, through all outages of broker and handler."""

    def __init__(self, settings: AmqpSettings, *, queue: str, prefetch: int, handler: Handler) -> None:
        """Bind `queue` to the notifications, and hand over at most `prefetch` at a time."""
        self._settings = settings
        self._queue = queue
        self._prefetch = prefetch
        self._handler = handler
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._waiting: list[tuple[int, bytes]] = []
        self._failures = 0
        self._trouble: str | None = None
        self._told = ""
        self.is_connected = False

    def trouble(self) -> str | None:
        """Return what keeps it from receiving, from any thread; None if nothing does."""
        return self._trouble

    def start(self) -> None:
        """Begin to receive; a broker that is away is waited for."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self.run, name="consumer", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Receive nothing more; False if the handler did not return in `timeout_s`."""
        self._stopping.set()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def run(self) -> None:
        """Receive until `stop` is called from another thread."""
        while not self._stopping.is_set():
            try:
                self._receive()
            except BrokerUnavailable as error:
                self._trouble = f"the broker of notifications: {error}"
                self._tell(error)
            except Exception as error:  # one of the six loops: what the handler could not store comes again
                self._trouble = f"events cannot be stored: {type(error).__name__}"
                LOG.exception("consumer could not hand over queue=%s", self._queue)
            finally:
                self.is_connected = False
            if not self._stopping.is_set():
                self._failures += 1
                self._stopping.wait(_pause_s(self._failures))

    def _tell(self, error: BrokerUnavailable) -> None:
        """Log an outage when it begins, and each mismatch once: that does not go away by itself."""
        if isinstance(error, BrokerMismatch):
            if self._told != str(error):
                LOG.error("broker mismatch: %s", error)
            self._told = str(error)
        elif self._failures == 0:
            LOG.warning("consumer lost the broker queue=%s reason=%s", self._queue, error)

    def _receive(self) -> None:
        """Receive over one connection until it breaks or all is over."""
        link = AmqpLink(self._settings, name="coffer-collector")
        try:
            self._waiting = []
            link.declare_exchange()
            link.declare_reader_queue(self._queue)
            link.consume(self._queue, self._prefetch, lambda tag, body: self._waiting.append((tag, body)))
            self.is_connected = True
            self._trouble, self._told = None, ""
            LOG.info("consumer connected queue=%s", self._queue)
            while not self._stopping.is_set():
                self._gather(link)
                self._hand_over(link)
                link.tick()
        finally:
            link.close()

    def _gather(self, link: AmqpLink) -> None:
        """Wait for a message, and take those that come right behind it."""
        if not self._waiting and not link.drain(_POLL_S):
            return
        until = time.monotonic() + _GATHER_S
        while len(self._waiting) < self._prefetch and link.drain(max(until - time.monotonic(), 0)):
            pass

    def _hand_over(self, link: AmqpLink) -> None:
        if not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        self._handler([body for _, body in batch])
        link.acknowledge(batch[-1][0])
        self._failures = 0


def _pause_s(failures: int) -> float:
    """Return how long to wait after so many failures in a row, with jitter against marching in step."""
    longest = min(_SHORTEST_PAUSE_S * 2 ** min(failures - 1, 10), _LONGEST_PAUSE_S)
    return random.uniform(longest / 2, longest)  # noqa: S311 - no secret hangs on it
