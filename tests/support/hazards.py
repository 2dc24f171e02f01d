"""What befalls a control plane and its database servers while they work: SIGKILL, at random."""

import os
import random
import signal
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.support.processes import about
from tests.support.standalone import Standalone

CONTROL_PLANE = 0.3
"""How often it is the control plane."""


class Hazards:
    """Kills now the control plane, which is started again on the same directory, now a database server."""

    def __init__(self, coffer: Standalone, rng: random.Random, *, pause_s: tuple[float, float]) -> None:
        """Strike after pauses of a random length between the two of `pause_s`."""
        self._coffer = coffer
        self._rng = rng
        self._pause_s = pause_s
        self.struck: Counter[str] = Counter()

    def until(self, over: threading.Event) -> None:
        """Strike again and again until somebody says that it is over."""
        while not over.wait(self._rng.uniform(*self._pause_s)):
            if self._rng.random() < CONTROL_PLANE:
                self._coffer.kill_and_start()
                self.struck["control plane"] += 1
            else:
                self._kill_server()

    def _kill_server(self) -> None:
        found = sorted((self._coffer.state_dir / "instances").glob("*/data/postmaster.pid"))
        if not found:
            return
        place = self._rng.choice(found).parents[1]
        pid = _postmaster(place)
        # The file may be old, and the number somebody else's by now.
        if pid is not None and pid in {each.pid for each in about(place)}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.struck["server"] += 1


def _postmaster(place: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        return int((place / "data" / "postmaster.pid").read_text().split()[0])
    return None
