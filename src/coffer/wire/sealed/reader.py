"""Opens what comes in, believes nothing before it has been opened, and keeps count of what is refused."""

import logging
from collections import Counter
from dataclasses import dataclass

from coffer.wire.sealed import frames
from coffer.wire.sealed.book import ChannelBook
from coffer.wire.sealed.frames import Direction, FrameRefusedError, Inner, Refusal

LOG = logging.getLogger(__name__)


class Refusals:
    """Counts refused messages by reason; each is one line in the log, with nothing in it that a sender chose."""

    def __init__(self, reader: str) -> None:
        """Speak of `reader`."""
        self._reader = reader
        self.counts: Counter[Refusal] = Counter()

    def note(self, reason: Refusal, instance_id: str | None, *, method: str | None = None) -> None:
        """Count one. `instance_id` has the form of one, whether or not the sender is that instance."""
        self.counts[reason] += 1
        LOG.warning(
            "message refused reader=%s reason=%s instance_id=%s method=%s refused_so_far=%d",
            self._reader,
            reason.value,
            instance_id,
            method,
            self.counts.total(),
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """What an instance, or the control plane to an instance, has truly sent."""

    instance_id: str
    key_id: int
    number: int
    inner: Inner


class Reader:
    """Reads what is meant for one end of the channels."""

    def __init__(
        self, book: ChannelBook, to: Direction, *, instance_id: str | None = None, limit_bytes: int
    ) -> None:
        """Read what is sent to `to`; for a guest, to that of `instance_id` only."""
        self._book = book
        self._to = to
        self._instance_id = instance_id
        self._limit_bytes = limit_bytes

    def open(self, body: bytes) -> Opened:
        """Return what was sent, without noting that it came.

        Raises:
            FrameRefusedError: it is not to be believed.
            BookUnavailableError: whether it is cannot be said now.
        """
        frame = frames.read(body, self._limit_bytes)
        if frame.to is not self._to or self._instance_id not in {None, frame.instance_id}:
            raise FrameRefusedError(Refusal.MISDIRECTED, frame.instance_id)
        key = self._book.key(frame.instance_id, frame.key_id)
        if key is None:
            raise FrameRefusedError(Refusal.UNKNOWN_KEY, frame.instance_id)
        return Opened(frame.instance_id, frame.key_id, frame.number, frames.unseal(frame, key))

    def accept(self, body: bytes) -> Opened:
        """Return what was sent, for the first and only time.

        Raises:
            FrameRefusedError: it is not to be believed, or came before.
            BookUnavailableError: as for `open`.
        """
        opened = self.open(body)
        if not self._book.accept(opened.instance_id, opened.key_id, opened.number):
            raise FrameRefusedError(Refusal.REPEATED, opened.instance_id)
        return opened
