"""Receives bodies from one queue, hands each to a thread, and acknowledges it once it is taken care of.

It knows nothing of what it receives. It never gives up: a broker that is away is waited for.
"""

import logging
import queue
import random
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from coffer.wire.amqp_link import AmqpLink
from coffer.wire.amqp_settings import AmqpSettings
from coffer.wire.publisher import BrokerMismatch, BrokerUnavailable
from coffer.wire.sealed.frames import ANSWER_LIMIT_BYTES

LOG = logging.getLogger(__name__)

Rest = Callable[[], None]
Handler = Callable[[bytes], Rest | None]
"""Takes care of a body; the message is acknowledged when it returns. What it returns is done after that."""
Express = Callable[[bytes], bool]
"""Takes care of a body that must not wait for a thread, and returns True; False leaves it to the handler."""
Opener = Callable[[AmqpLink], str]
"""Prepares a new connection and returns the name of the queue to read."""

_IDLE_POLL_S = 0.25
_BUSY_POLL_S = 0.01
_SHORTEST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 5.0


class TryLaterError(Exception):
    """The handler cannot take care of anything now: the message stays in the queue, and so do those behind it."""


class Inbox:
    """Runs in threads of its own from `start` to `stop`."""

    def __init__(
        self,
        settings: AmqpSettings,
        *,
        name: str,
        opened: Opener,
        handler: Handler,
        threads: int,
        prefetch: int | None = None,
        express: Express = lambda _: False,
        limit_bytes: int = ANSWER_LIMIT_BYTES,
    ) -> None:
        """Handle up to `threads` messages at a time; `name` is what the broker and the log show of us.

        `express` sees each message first, of up to `prefetch` that wait for a thread or have one; it must be quick.
        Of a body that is longer than `limit_bytes` the handler gets one byte more than that, so that it can tell.
        """
        self._express = express
        self._limit_bytes = limit_bytes
        self._settings = settings
        self._name = name
        self._opened = opened
        self._handler = handler
        self._slots = threading.Semaphore(threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._prefetch = prefetch or 2 * threads
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._told = ""
        self._trouble: str | None = None
        self.is_connected = threading.Event()

    def renew(self, settings: AmqpSettings) -> None:
        """Connect with other settings from the next connection on."""
        self._settings = settings

    def trouble(self) -> str | None:
        """Return what keeps it from receiving, from any thread; None if nothing does."""
        return self._trouble

    def start(self) -> None:
        """Begin to receive, if that was not done; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def halt(self) -> None:
        """Receive nothing more."""
        self._stopping.set()

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Receive nothing more; False if what is being handled goes on after `timeout_s`."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                return False
        ending = threading.Thread(target=self._pool.shutdown, name=f"{self._name}-ending", daemon=True)
        ending.start()
        ending.join(timeout_s)
        return not ending.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._receive()
            except BrokerUnavailable as error:
                self._trouble = f"the broker of RPC: {error}"
                self._tell(error)
            except TryLaterError as error:
                self._trouble = str(error)
                LOG.warning("inbox waits name=%s reason=%s", self._name, error)
            except Exception:  # one of the loops: whoever is deaf for ever cannot even be told so
                LOG.exception("inbox begins anew name=%s", self._name)
            finally:
                self.is_connected.clear()
            if not self._stopping.is_set():
                self._failures += 1
                self._stopping.wait(_pause_s(self._failures))

    def _receive(self) -> None:
        """Receive over one connection until it breaks, the handler cannot go on, or all is over."""
        link = AmqpLink(self._settings, name=self._name, strangers_limit_bytes=self._limit_bytes)
        hand = _Hand()
        try:
            source = self._opened(link)
            link.consume(source, self._prefetch, lambda tag, body: hand.arrived.append((tag, body)))
            self.is_connected.set()
            self._trouble, self._told = None, ""
            LOG.info("inbox connected name=%s queue=%s", self._name, source)
            while not self._stopping.is_set():
                self._sort(link, hand)
                self._hand_out(hand)
                link.drain(_BUSY_POLL_S if hand.count or hand.waiting else _IDLE_POLL_S)
                link.tick()
                self._acknowledge(link, hand)
            while hand.count:  # what was not handed out goes back to the queue
                link.drain(_BUSY_POLL_S)
                self._acknowledge(link, hand)
        finally:
            link.close()

    def _sort(self, link: AmqpLink, hand: "_Hand") -> None:
        while hand.arrived:
            tag, body = hand.arrived.popleft()
            if self._is_taken(body):
                link.acknowledge(tag, up_to=False)
            else:
                hand.waiting.append((tag, body))

    def _is_taken(self, body: bytes) -> bool:
        try:
            return self._express(body)
        except TryLaterError:
            raise
        except Exception:  # one of the loops, as in _handle
            LOG.exception("inbox could not finish a message name=%s", self._name)
            return True

    def _hand_out(self, hand: "_Hand") -> None:
        while hand.waiting and self._slots.acquire(blocking=False):
            tag, body = hand.waiting.popleft()
            hand.count += 1
            self._pool.submit(self._handle, tag, body, hand.done)

    def _handle(self, tag: int, body: bytes, done: "_Done") -> None:
        try:
            rest = self._take(tag, body, done)
            if rest is not None:
                rest()
        except Exception:  # one of the loops: whatever it is, the next message must be handled
            LOG.exception("inbox could not finish a message name=%s", self._name)
        finally:
            self._slots.release()

    def _take(self, tag: int, body: bytes, done: "_Done") -> Rest | None:
        try:
            rest = self._handler(body)
        except TryLaterError as error:
            done.put(error)
            return None
        except BaseException:
            # A message that nobody can handle would come again for ever.
            done.put(tag)
            raise
        done.put(tag)
        return rest

    def _acknowledge(self, link: AmqpLink, hand: "_Hand") -> None:
        while not hand.done.empty():
            done = hand.done.get()
            hand.count -= 1
            if isinstance(done, TryLaterError):
                raise done
            link.acknowledge(done, up_to=False)
            self._failures = 0

    def _tell(self, error: BrokerUnavailable) -> None:
        """Log an outage once."""
        if isinstance(error, BrokerMismatch):
            if self._told != str(error):
                LOG.error("broker mismatch: %s", error)
            self._told = str(error)
        elif self._failures == 0:
            LOG.warning("inbox lost the broker name=%s reason=%s", self._name, error)


_Done = queue.SimpleQueue[int | TryLaterError]


@dataclass(slots=True)
class _Hand:
    """What one connection has delivered: unseen, waiting for a thread, done with; `count` is how many have a thread."""

    arrived: deque[tuple[int, bytes]] = field(default_factory=deque)
    waiting: deque[tuple[int, bytes]] = field(default_factory=deque)
    done: _Done = field(default_factory=queue.SimpleQueue)
    count: int = 0


def _pause_s(failures: int) -> float:
    longest = min(_SHORTEST_PAUSE_S * 2 ** min(failures - 1, 10), _LONGEST_PAUSE_S)
    return random.uniform(longest / 2, longest)  # noqa: S311 - no secret hangs on it
