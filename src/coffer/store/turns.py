"""A lock that is given in the order in which it was asked for.

SQLite has one writer. Its busy handler sleeps and tries again, so under load the unlucky wait for seconds;
threads of one process queue here instead and find the database free.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """First come, first served; the holder hands the lock to the next, so nobody can barge in."""

    def __init__(self) -> None:
        """Start free."""
        self._guard = threading.Lock()
        self._is_held = False
        self._waiting: deque[threading.Lock] = deque()

    @contextmanager
    def turn(self, timeout_s: float) -> Iterator[bool]:
        """Wait for the lock, at most `timeout_s`; yields False if it was not our turn by then."""
        got = self._acquire(timeout_s)
        try:
            yield got
        finally:
            if got:
                self._release()

    def _acquire(self, timeout_s: float) -> bool:
        with self._guard:
            if not self._is_held:
                self._is_held = True
                return True
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        try:
            if mine.acquire(timeout=timeout_s):
                return True
        except BaseException:  # a signal's handler raised: nobody may hand the lock to a thread that has left
            if not self._leave(mine):
                self._release()
            raise
        return not self._leave(mine)

    def _leave(self, mine: threading.Lock) -> bool:
        """Leave the queue; False if the lock has been handed over meanwhile."""
        with self._guard:
            if mine not in self._waiting:
                return False
            self._waiting.remove(mine)
            return True

    def _release(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_held = False
