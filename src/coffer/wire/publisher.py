"""The port through which events leave: it confirms or it raises, and it never reports what it does not know.

The relay is its only user. A publisher belongs to one thread at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


class BrokerUnavailable(Exception):  # noqa: N818 - the name that the other floors agreed on
    """Nothing of the batch is known to be stored by the broker; the reason is for the operator's log."""


class BrokerMismatch(BrokerUnavailable):
    """The broker is there, but what it has was declared otherwise; an operator must choose."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One sealed message; `id` is the sender's own name for it, `severity` chooses the queue."""

    id: int
    severity: str
    body: bytes


class Publisher(Protocol):
    """Carries sealed messages to whoever consumes them."""

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[int]:
        """Send `batch` in its order and return the ids that are stored safely.

        What is missing from the answer may or may not have arrived: send it again, byte for byte. It returns
        or raises within a bounded time.

        Raises:
            BrokerUnavailable: if no message is known to be stored.
        """
        ...

    def close(self) -> None:
        """Let go of every connection; may be called twice."""
        ...


class Flight(Protocol):
    """Messages that are under way to the broker."""

    def land(self) -> frozenset[int]:
        """Wait for the broker's answers and return the ids that are stored safely; as for `publish`.

        Flights land in the order in which they were sent. One that broke off takes those after it along.

        Raises:
            BrokerUnavailable: if no message of the flight is known to be stored.
        """
        ...


@runtime_checkable
class PipelinedPublisher(Publisher, Protocol):
    """A publisher that can send the next messages while it waits for the answers to the last."""

    def send(self, batch: Sequence[Outgoing]) -> Flight:
        """Begin to publish `batch`; `publish` must not be called before all flights have landed.

        Raises:
            BrokerUnavailable: if the connection broke; flights that are under way may still tell what has arrived.
        """
        ...
