"""The time for decisions that cannot be taken back: that a run is too late, that an audit window is over.

The clock of one machine may be wrong. What it says alone ends nobody's run: the database's clock has to say so too.
"""

import logging
from datetime import datetime
from typing import Final

from coffer.lifecycle.emitter import Clock
from coffer.store import clocks
from coffer.store.database import Database

LOG = logging.getLogger(__name__)

TOLERATED_S: Final = 5.0


class AgreedClock:
    """The earlier of our time and the database's; one that `tells` logs when they differ, and when they agree again."""

    def __init__(self, database: Database, clock: Clock, *, tells: bool = False) -> None:
        """Compare `clock` with the clock of `database`."""
        self._tells = tells
        self._database = database
        self._clock = clock
        self._differed = False

    def __call__(self) -> datetime:
        """Return what time it is at least.

        Raises:
            StoreUnavailable: if the database is away.
        """
        with self._database.reading() as tx:
            theirs = clocks.now(tx)
        ours = self._clock()
        if theirs is None:
            return ours
        if self._tells:
            self._tell((ours - theirs).total_seconds())
        return min(ours, theirs)

    def _tell(self, ahead_s: float) -> None:
        differ = abs(ahead_s) > TOLERATED_S
        if differ and not self._differed:
            LOG.error("the clocks of this machine and of the database differ ahead_s=%.1f", ahead_s)
        elif self._differed and not differ:
            LOG.warning("the clocks of this machine and of the database agree again")
        self._differed = differ
