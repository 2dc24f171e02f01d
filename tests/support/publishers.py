"""A broker in memory that fails on command: the twin of the real publishers, tested itself."""

import threading
from collections.abc import Callable, Sequence

from coffer.wire.publisher import BrokerUnavailable, Outgoing


class MemoryBroker:
    """What publishers deliver to. `delivered` has every body in the order of arrival, repetitions too."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.delivered: list[bytes] = []
        self.attempts: list[tuple[bytes, ...]] = []
        """The bodies of each call of `publish`, also of those that failed."""
        self.is_away = False
        self.loses_next_confirms = 0
        """The next so many batches arrive, but their senders see the connection break."""
        self.breaks_on: Callable[[bytes], bool] = lambda _: False
        """A body that breaks the connection of everybody who sends it."""
        self.refuses: Callable[[bytes], bool] = lambda _: False
        """A body that is returned as unroutable."""
        self.before_publish: Callable[[], None] = lambda: None

    def firsts(self) -> list[bytes]:
        """The bodies in the order of their first arrival."""
        return list(dict.fromkeys(self.delivered))


class MemoryPublisher:
    """A `Publisher` to a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self.is_closed = False

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[int]:
        """Deliver `batch`, as far as the broker is told to take it."""
        broker = self._broker
        broker.before_publish()
        with broker.lock:
            broker.attempts.append(tuple(message.body for message in batch))
            if broker.is_away or any(broker.breaks_on(message.body) for message in batch):
                raise BrokerUnavailable("told to be away")
            taken = [message for message in batch if not broker.refuses(message.body)]
            broker.delivered.extend(message.body for message in taken)
            if broker.loses_next_confirms:
                broker.loses_next_confirms -= 1
                raise BrokerUnavailable("told to lose the confirms")
            return frozenset(message.id for message in taken)

    def close(self) -> None:
        """Note that the relay is done with it."""
        self.is_closed = True
