"""Chores that look now and then for what somebody else has left, and see to it one by one."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from coffer.store.instances import Instance

INTERVAL_S = 30.0


class Rounds:
    """A `Chore` on instances. One of them a step, so that the other chores get their turn between two that are slow."""

    def __init__(
        self, *, interval_s: float = INTERVAL_S, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Look every `interval_s`, once what was found the last time is seen to."""
        self._interval_s = interval_s
        self._monotonic_s = monotonic_s
        self._next_s = 0.0
        self._found: deque[Instance] = deque()

    def step(self) -> bool:
        """See to one instance; look for more if it is time to. What does not work now is found again."""
        if not self._found and self._monotonic_s() >= self._next_s:
            self._found.extend(self.find())
            self._next_s = self._monotonic_s() + self._interval_s
        if self._found:
            self.see_to(self._found.popleft())
        return False

    def find(self) -> Sequence[Instance]:
        """Return the instances to be seen to."""
        raise NotImplementedError

    def see_to(self, instance: Instance) -> None:
        """Do what is to be done about one, which may have changed since it was found."""
        raise NotImplementedError
