"""Messages that the broker refuses are set aside here, so that they do not stand in the way of others.

It decides who waits for whom and how long; it knows neither the database nor the broker. Nothing is lost by
it: the rows stay in the outbox, only the relay's view of the outbox skips them for a while, and a relay that
starts anew knows nothing of it and simply tries them all.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from coffer.relay.pace import LONGEST_BACKOFF_S, backoff_s
from coffer.store.outbox import Pending

SHORTEST_REST_S = 1.0
LONGEST_REST_S = 30.0
FORGET_AFTER_S = 600.0
"""A line that nobody refused again for so long was delivered by another relay."""

CAPACITY = 10_000
"""Rows set aside at most: the query for the others lists them all. More is an outage, not bad messages."""


def _key(row: Pending) -> str | int:
    """Who waits together: the messages of a run, or a message that belongs to none, alone."""
    return row.id if row.run_id is None else row.run_id


@dataclass(slots=True)
class _Line:
    """The messages that wait behind one that was refused (it is among them)."""

    ids: set[int] = field(default_factory=set)
    attempts: int = 0
    rests_until_s: float = 0.0
    is_suspect: bool = False


class Parking:
    """Who has been set aside and until when. Times are seconds of one monotonic clock."""

    def __init__(self, *, capacity: int = CAPACITY, dice: Callable[[], float] = random.random) -> None:
        self._capacity = capacity
        self._dice = dice
        self._lines: dict[str | int, _Line] = {}

    def __len__(self) -> int:
        """How many messages are set aside now."""
        return sum(len(line.ids) for line in self._lines.values())

    @property
    def is_full(self) -> bool:
        """True when no further message can be set aside."""
        return len(self) >= self._capacity

    @property
    def is_empty(self) -> bool:
        """True when nobody has been set aside, or only so long ago that it is forgotten."""
        return not self._lines

    def excluded(self, now_s: float) -> frozenset[int]:
        """The rows that the next look into the outbox skips; lines that have rested enough are let go."""
        for key, line in list(self._lines.items()):
            if line.rests_until_s <= now_s:
                line.ids.clear()
                if line.rests_until_s + FORGET_AFTER_S < now_s:
                    del self._lines[key]
        return frozenset(id_ for line in self._lines.values() for id_ in line.ids)

    def refuse(self, row: Pending, now_s: float, *, suspect: bool = False) -> None:
        """Set `row` aside for a while that grows each time.

        `suspect` marks a message whose sending broke the connection (so far as one can tell): it is tried
        again alone, never in the company of others.
        """
        line = self._lines.setdefault(_key(row), _Line())
        line.attempts += 1
        line.is_suspect = suspect
        line.ids.add(row.id)
        line.rests_until_s = now_s + backoff_s(
            line.attempts,
            shortest_s=SHORTEST_REST_S,
            longest_s=LONGEST_BACKOFF_S if suspect else LONGEST_REST_S,
            dice=self._dice,
        )

    def without_those_behind(self, rows: Sequence[Pending], now_s: float) -> list[Pending]:
        """`rows` without those that must wait behind a refused message of their run; these join its line."""
        free = []
        for row in rows:
            line = self._lines.get(_key(row))
            if line is None or line.rests_until_s <= now_s:
                free.append(row)
            elif not self.is_full:
                line.ids.add(row.id)
        return free

    def is_suspect(self, row: Pending) -> bool:
        """True when `row` belongs to a line that must be tried alone."""
        line = self._lines.get(_key(row))
        return line is not None and line.is_suspect

    def release_suspects(self, now_s: float) -> None:
        """Let all suspects be tried again at once: others get through, so perhaps the broker was ill."""
        for line in self._lines.values():
            if line.is_suspect:
                line.rests_until_s = min(line.rests_until_s, now_s)

    def confirmed(self, rows: Iterable[Pending]) -> None:
        """Forget the lines of messages that the broker has taken."""
        for row in rows:
            self._lines.pop(_key(row), None)
