"""Which messages may be under way now: at most one of each run, whatever their batches. Pure.

It is `waves` without the pauses between them: where a wave waits for the whole wave before it, a message here waits
only for the messages before it in its own run.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence

from coffer.store.outbox import Pending


class Window:
    """The messages that have been read and are not yet known to be in the broker."""

    def __init__(self) -> None:
        self._ready: deque[Pending] = deque()
        self._behind: dict[str, deque[Pending]] = {}
        """By run, for each run that has a message ready or under way: those that come after it, in order."""
        self._open: dict[int, None] = {}
        """The ids of all messages here, in the order of reading."""

    def __len__(self) -> int:
        """How many messages are here, under way or not."""
        return len(self._open)

    @property
    def ids(self) -> Collection[int]:
        """The ids of all messages here."""
        return self._open.keys()

    @property
    def lowest(self) -> int | None:
        """The lowest id of a message here; None if there is none."""
        return min(self._open, default=None)

    def add(self, rows: Iterable[Pending]) -> None:
        """Take in messages, in the outbox's order."""
        for row in rows:
            self._open[row.id] = None
            if row.run_id is None:
                self._ready.append(row)
            elif row.run_id in self._behind:
                self._behind[row.run_id].append(row)
            else:
                self._behind[row.run_id] = deque()
                self._ready.append(row)

    def take(self, limit: int) -> list[Pending]:
        """Return up to `limit` messages that may be sent now; they are under way from here on."""
        return [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]

    def landed(self, rows: Sequence[Pending], confirmed: Collection[int]) -> None:
        """Note what became of messages under way; who comes after a confirmed one in its run may go."""
        for row in rows:
            if row.id not in confirmed:
                continue
            del self._open[row.id]
            if row.run_id is None:
                continue
            behind = self._behind[row.run_id]
            if behind:
                self._ready.append(behind.popleft())
            else:
                del self._behind[row.run_id]
