"""How often one sender may speak, so that none takes the time of all the others (a token bucket each)."""

import threading
import time
from collections.abc import Callable

_REMEMBERED = 10_000


class Budget:
    """Safe to use from several threads. It is one process's: several have several times as much to give."""

    def __init__(self, *, per_s: float, at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow `per_s` a second for ever, and `at_once` after a silence."""
        self._per_s = per_s
        self._at_once = float(at_once)
        self._clock = clock
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}
        """What a sender had left, and when."""

    def allows(self, sender: str) -> bool:
        """Take one of the sender's; False if there is none left.

        Only for senders that are known: each is remembered for a while.
        """
        with self._lock:
            now = self._clock()
            left, since = self._left.get(sender, (self._at_once, now))
            left = min(self._at_once, left + (now - since) * self._per_s)
            is_allowed = left >= 1.0
            self._left[sender] = (left - 1.0 if is_allowed else left, now)
            if len(self._left) > _REMEMBERED:
                self._forget(now)
        return is_allowed

    def _forget(self, now: float) -> None:
        """Forget those who have everything again, as they would have if they came for the first time."""
        silent_s = self._at_once / self._per_s
        self._left = {sender: kept for sender, kept in self._left.items() if now - kept[1] < silent_s}
