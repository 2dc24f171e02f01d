"""A broker in memory that fails on command: the twin of the real publishers, tested itself."""

import threading
from collections.abc import Callable, Sequence

from coffer.wire.publisher import BrokerUnavailable, Flight, Outgoing


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


class _MemoryFlight:
    """A batch that has arrived, as far as it does; its sender learns of it when it lands."""

    def __init__(
        self, publisher: "PipelinedMemoryPublisher", stored: frozenset[int], *, is_broken: bool
    ) -> None:
        self._publisher = publisher
        self._stored = stored
        self.is_broken = is_broken

    def land(self) -> frozenset[int]:
        """Return what arrived."""
        under_way = self._publisher.under_way
        if self.is_broken:
            for each in under_way:
                each.is_broken = True
            under_way.clear()
            raise BrokerUnavailable("told to lose the confirms")
        assert under_way, "it has landed before"
        assert under_way[0] is self, "flights land in the order of sending"
        under_way.pop(0)
        return self._stored


class PipelinedMemoryPublisher(MemoryPublisher):
    """A `PipelinedPublisher` to a `MemoryBroker`: messages arrive when they are sent, confirms when they land."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker)
        self.under_way: list[_MemoryFlight] = []
        self.most_under_way = 0

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[int]:
        """Deliver `batch` at once; nothing else may be under way."""
        assert not self.under_way, "flights must land first"
        return super().publish(batch)

    def send(self, batch: Sequence[Outgoing]) -> Flight:
        """Deliver `batch`, as far as the broker is told to take it, and say so when it lands."""
        loses = bool(self._broker.loses_next_confirms)
        try:
            stored = super().publish(batch)
        except BrokerUnavailable:
            if not loses or self._broker.is_away:
                for flight in self.under_way:
                    flight.is_broken = True
                self.under_way.clear()
                raise
            stored = frozenset()
        flight = _MemoryFlight(self, stored, is_broken=loses)
        self.under_way.append(flight)
        self.most_under_way = max(self.most_under_way, len(self.under_way))
        return flight
