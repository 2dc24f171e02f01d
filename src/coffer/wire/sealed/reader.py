"""Opens what comes in, believes nothing before it has been opened, and keeps count of what is refused."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from coffer.wire.sealed import frames
from coffer.wire.sealed.book import ChannelBook
from coffer.wire.sealed.budget import Budget
from coffer.wire.sealed.frames import Direction, FrameRefusedError, Inner, Refusal

LOG = logging.getLogger(__name__)


LINES_AT_ONCE = 2000
LINES_A_SECOND = 5.0
"""So much is logged of refusals; who floods us shall not fill our disk. What is left out is counted."""


class Refusals:
    """Counts refused messages by reason; each is one line in the log, with nothing in it that a sender chose.

    Of a flood it is one line for many. Safe to use from several threads.
    """

    def __init__(self, reader: str, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        """Speak of `reader`."""
        self._reader = reader
        self._lock = threading.Lock()
        self._monotonic_s = monotonic_s
        self._lines, self._refilled_at_s = float(LINES_AT_ONCE), monotonic_s()
        self._unsaid = 0
        self.counts: Counter[Refusal] = Counter()

    def count(self, reason: Refusal) -> int:
        """Count one that is logged elsewhere; return how many there were."""
        with self._lock:
            self.counts[reason] += 1
            return self.counts.total()

    def note(self, reason: Refusal, instance_id: str | None, *, method: str | None = None) -> None:
        """Count one. `instance_id` has the form of one, whether or not the sender is that instance."""
        so_far = self.count(reason)
        unsaid = self._line()
        if unsaid is None:
            return
        LOG.warning(
            "message refused reader=%s reason=%s instance_id=%s method=%s refused_so_far=%d unsaid=%d",
            self._reader,
            reason.value,
            instance_id,
            method,
            so_far,
            unsaid,
        )

    def _line(self) -> int | None:
        """Take the right to write a line; return how many were left out before it, None if it is left out, too."""
        with self._lock:
            now_s = self._monotonic_s()
            refill = (now_s - self._refilled_at_s) * LINES_A_SECOND
            self._lines, self._refilled_at_s = min(self._lines + refill, float(LINES_AT_ONCE)), now_s
            if self._lines < 1:
                self._unsaid += 1
                return None
            self._lines -= 1
            unsaid, self._unsaid = self._unsaid, 0
            return unsaid


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
        self,
        book: ChannelBook,
        to: Direction,
        *,
        instance_id: str | None = None,
        limit_bytes: int,
        budget: Budget | None = None,
    ) -> None:
        """Read what is sent to `to`; for a guest, to that of `instance_id` only.

        `budget` limits how much each sender may have accepted.
        """
        self._budget = budget
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
        # Before anything is written, and after the seal: anybody can write somebody else's name on a message.
        if self._budget is not None and not self._budget.allows(opened.instance_id):
            raise FrameRefusedError(Refusal.TOO_MANY, opened.instance_id)
        if not self._book.accept(opened.instance_id, opened.key_id, opened.number):
            raise FrameRefusedError(Refusal.REPEATED, opened.instance_id)
        return opened
