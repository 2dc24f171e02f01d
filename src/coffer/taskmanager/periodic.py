"""What a taskmanager does again and again by itself: the periodic announcements."""

import logging
import threading
from collections.abc import Sequence
from typing import Protocol

from coffer.store.errors import StoreError

LOG = logging.getLogger(__name__)

TICK_S = 1.0
LONGEST_PAUSE_S = 60.0
"""How far apart attempts get while a chore fails."""


class Chore(Protocol):
    """Something to be done piece by piece, whenever it is time for it."""

    def step(self) -> bool:
        """Do one piece, if it is time for it; return whether there is more to do at once."""


class Periodic:
    """Looks every `tick_s` whether it is time for one of the chores; one thread, so they never disturb each other."""

    def __init__(self, chores: Sequence[Chore], *, tick_s: float = TICK_S) -> None:
        """Do nothing yet."""
        self._chores = tuple(chores)
        self._tick_s = tick_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="periodic", daemon=True)

    def start(self) -> None:
        """Work in a thread until stopped."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the piece that is being done; the next taskmanager goes on from there."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        pause_s = self._tick_s
        while not self._stop.wait(pause_s):
            done = [self._do(chore) for chore in self._chores]
            pause_s = self._tick_s if all(done) else min(2 * pause_s, LONGEST_PAUSE_S)

    def _do(self, chore: Chore) -> bool:
        """Return whether the chore did not fail."""
        try:
            while chore.step() and not self._stop.is_set():
                pass
        except StoreError as trouble:
            LOG.warning("a periodic chore waits chore=%s reason=%s", type(chore).__name__, trouble)
            return False
        except Exception:  # one of the six loops: an operator's class may raise anything
            LOG.exception("a periodic chore failed and is tried again chore=%s", type(chore).__name__)
            return False
        return True
