"""How hard the relay tries: the size of the next batch, the pause before the next attempt."""

import random
from collections.abc import Callable

SHORTEST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 15.0
SHRINK = 8
"""By how much trouble shrinks the next batch, and success lets it grow (500, 62, 7, 1 and back)."""


def backoff_s(
    attempts: int, *, shortest_s: float, longest_s: float, dice: Callable[[], float] = random.random
) -> float:
    """Double from `shortest_s` with each attempt (1, 2, …) up to `longest_s`, less up to a third at random.

    The jitter keeps several relays, or many messages set aside together, from knocking at the same instant.
    """
    doubled = shortest_s * 2.0 ** min(attempts - 1, 30)
    return min(longest_s, doubled) * (1 - dice() / 3)


class Pace:
    """The relay's tempo.

    Trouble shrinks the batch down to a single message. This probes a broker that comes back with one message
    instead of five hundred, and it isolates the one message that breaks the connection each time it is sent.
    """

    def __init__(self, batch_size: int, dice: Callable[[], float] = random.random) -> None:
        self._batch_size = batch_size
        self._dice = dice
        self.limit = batch_size
        self.failures = 0
        """Attempts that failed since the last one that succeeded."""

    @property
    def is_full(self) -> bool:
        """True when nothing has failed lately."""
        return not self.failures and self.limit == self._batch_size

    def failed(self) -> None:
        """Note an attempt that met trouble."""
        self.failures += 1
        self.limit = max(1, self.limit // SHRINK)

    def succeeded(self) -> None:
        """Note an attempt that went through."""
        self.failures = 0
        self.limit = min(self._batch_size, self.limit * SHRINK)

    def pause_s(self) -> float:
        """The pause before the next attempt, after `failures` of them."""
        return backoff_s(
            max(1, self.failures), shortest_s=SHORTEST_BACKOFF_S, longest_s=LONGEST_BACKOFF_S, dice=self._dice
        )
