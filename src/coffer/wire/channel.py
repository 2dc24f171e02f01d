"""The port through which one service speaks to another: a broker's RPC, or a guest's sealed channel."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

Handler = Callable[[Mapping[str, Any], Mapping[str, Any]], object]
"""Takes a context and a message, returns the reply."""


class Listening(Protocol):
    """Receives the messages of one topic, in threads of its own."""

    def start(self) -> None:
        """Begin to receive. Raises NotDeliveredError where the broker must be there for that, and is not."""

    def stop(self) -> None:
        """Receive nothing more; what is being handled goes on."""

    def wait(self) -> None:
        """Wait until everything received is handled."""


class Channel(Protocol):
    """A way to those who listen to topics."""

    def send(
        self,
        topic: str,
        server: str | None,
        context: dict[str, Any],
        message: dict[str, Any],
        *,
        reply_timeout_s: float | None = None,
    ) -> object:
        """Send a message `{"method", "args", "version"}`; return the reply if one is awaited.

        Raises:
            NotDeliveredError: if the broker did not take it in time. It may still arrive later.
            NoReplyError: if no reply came in time.
        """


class GuestsChannel(Channel, Protocol):
    """The way from the control plane to the guests."""

    def declare(self, topic: str, server: str) -> None:
        """Make the queue of a guest to come, so that what is sent to it meanwhile waits for it.

        Raises:
            NotDeliveredError: if the broker is not there.
        """


class ServedChannel(Channel, Protocol):
    """A way over which somebody can be reached, too."""

    def listener(self, topic: str, server: str, handler: Handler) -> Listening:
        """Return a stopped listener whose messages go to `handler`."""
