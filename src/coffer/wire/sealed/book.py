"""The port to keys and numbers: what either end of a guest's channel must remember.

The control plane keeps its book in the database, for all guests; a guest keeps its own in a file.
"""

from dataclasses import dataclass, field
from typing import Protocol

KEY_BYTES = 32


class NoChannelError(Exception):
    """The instance has no key: it was never enrolled, or is gone."""


class BookUnavailableError(Exception):
    """The book cannot be read or written now; nothing may be sent or believed without it."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a message to be sent is sealed with; its `number` is never given twice under the same key."""

    key_id: int
    key: bytes = field(repr=False)
    number: int


class ChannelBook(Protocol):
    """Keys and numbers of channels; safe to use from several threads."""

    def outgoing(self, instance_id: str) -> Outgoing:
        """Return what the next message of the channel is sealed with.

        Raises:
            NoChannelError: there is no such channel.
            BookUnavailableError: not now.
        """

    def key(self, instance_id: str, key_id: int) -> bytes | None:
        """Return a key that is valid for messages which come in, None if there is no such key.

        Raises:
            BookUnavailableError: not now.
        """

    def accept(self, instance_id: str, key_id: int, number: int) -> bool:
        """Note that a message came in; False if it did so before, or is too old for anybody to know.

        Only for a message that the key has opened. What is accepted is on the disk when this returns.

        Raises:
            BookUnavailableError: not now.
        """
