"""Publishes within one process: hands bodies to consumers that store them, and to nobody else."""

from collections.abc import Callable, Sequence

from coffer.wire.publisher import BrokerUnavailable, Outgoing

Consumer = Callable[[list[bytes]], None]
"""Stores the bodies before it returns; it may be given one twice."""


class LocalPublisher:
    """A `Publisher` whose broker is the consumers themselves."""

    def __init__(self, consumers: Sequence[Consumer]) -> None:
        """Hand every batch to each of `consumers`, in their order."""
        self._consumers = tuple(consumers)

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[int]:
        """Return all ids once every consumer has stored all bodies.

        Raises:
            BrokerUnavailable: if a consumer failed; those before it have the batch, and get it again.
        """
        if not batch:
            return frozenset()
        bodies = [message.body for message in batch]
        for consumer in self._consumers:
            try:
                consumer(bodies)
            except Exception as error:
                name = getattr(consumer, "__qualname__", type(consumer).__name__)
                raise BrokerUnavailable(f"{name} failed: {type(error).__name__}") from error
        return frozenset(message.id for message in batch)

    def close(self) -> None:
        """There is nothing to close."""
