"""The broker inside one process: kombu's in-memory transport, with waiting instead of polling.

kombu's own looks for messages in a loop, and oslo.messaging sets the pause of that loop to zero: an idle
process would keep a core busy for each listener. Nor does kombu's own let a message expire, so a call that was
given up would be carried out by a listener that comes back. Queues and bindings are kombu's.
"""
# ruff: noqa: TID251 - kombu is the twin of a broker here, met in coffer.wire only

import logging
import threading
import time
from queue import Empty
from typing import Any

import kombu.transport
from kombu.transport import memory

LOG = logging.getLogger(__name__)


class _Arrivals:
    """Counts messages that were put anywhere, so that a consumer can wait for the next one."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self.count = 0

    def add(self) -> None:
        """Wake everybody who waits."""
        with self._condition:
            self.count += 1
            self._condition.notify_all()

    def wait_beyond(self, seen: int, timeout_s: float | None) -> None:
        """Return when more than `seen` have arrived, or after `timeout_s`."""
        with self._condition:
            self._condition.wait_for(lambda: self.count > seen, timeout_s)


_ARRIVALS = _Arrivals()
_EXPIRES_AT = "expires_at"
"""The property of a message that says when it expires, on this process's monotonic clock."""


class Channel(memory.Channel):
    """kombu's channel, which says when it puts something, and drops what has expired as RabbitMQ does."""

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        expiration_ms = message["properties"].get("expiration")
        if expiration_ms is not None:
            message["properties"][_EXPIRES_AT] = time.monotonic() + int(expiration_ms) / 1000
        super()._put(queue, message, **kwargs)  # type: ignore[no-untyped-call]  # kombu is untyped
        _ARRIVALS.add()

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        """Return the next message that has not expired.

        Raises:
            Empty: there is none.
        """
        while True:
            message: Any = super()._get(queue, timeout)  # type: ignore[no-untyped-call]  # kombu is untyped
            expires_at = message["properties"].get(_EXPIRES_AT)
            if expires_at is None or time.monotonic() < expires_at:
                return message
            LOG.info("message expired queue=%s", queue)

    def _put_fanout(self, exchange: str, message: Any, routing_key: str | None = None, **kwargs: Any) -> None:
        super()._put_fanout(  # type: ignore[no-untyped-call]  # kombu is untyped
            exchange, message, routing_key, **kwargs
        )
        _ARRIVALS.add()


class Transport(memory.Transport):
    """kombu's transport, which waits."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None, **kwargs: Any) -> None:
        """Deliver one message.

        Raises:
            TimeoutError: if none came in `timeout` seconds.
        """
        del connection, kwargs
        assert self.cycle is not None
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            seen = _ARRIVALS.count
            try:
                self.cycle.get(self._deliver, timeout=timeout)  # type: ignore[no-untyped-call]  # as above
            except Empty:
                left_s = None if deadline is None else deadline - time.monotonic()
                if left_s is not None and left_s <= 0:
                    raise TimeoutError from None
                _ARRIVALS.wait_beyond(seen, left_s)
            else:
                return


def install() -> None:
    """Let `memory://` mean this broker in this process."""
    kombu.transport.TRANSPORT_ALIASES["memory"] = f"{__name__}:Transport"


def is_routable(exchange: str, key: str) -> bool:
    """True when a queue is bound to `exchange` with `key`; otherwise kombu drops the message silently."""
    declared = Transport.global_state.exchanges or {}
    table = declared.get(exchange, {}).get("table", ())
    return any(bound_key == key for bound_key, *_ in table)
