"""The broker inside one process: kombu's in-memory transport, with waiting instead of polling.

kombu's own looks for messages in a loop, and oslo.messaging sets the pause of that loop to zero: an idle
process would keep a core busy for each listener. Queues and bindings are kombu's; only the waiting differs.
"""
# ruff: noqa: TID251 - kombu is the twin of a broker here, met in coffer.wire only

import threading
import time
from queue import Empty
from typing import Any

import kombu.transport
from kombu.transport import memory


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


class Channel(memory.Channel):
    """kombu's channel, which says when it puts something."""

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        super()._put(queue, message, **kwargs)  # type: ignore[no-untyped-call]  # kombu is untyped
        _ARRIVALS.add()

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
