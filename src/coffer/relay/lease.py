"""Which relay is the active one: a lease in the database, seen from the holder's side.

It knows nothing of messages.
"""

import time
from collections.abc import Callable
from datetime import datetime

from coffer.store import leases
from coffer.store.database import Database

LEASE = "relay"
TTL_S = 10.0


class Lease:
    """The right to publish, which ends by itself when its holder does not renew it.

    Whether the lease still runs is judged by this process's monotonic clock, from the moment *before* the
    renewal was written; so the holder believes in its lease for a little less long than the database does.
    Between hosts the database compares wall clocks. A skew of these makes a takeover early or late; what that
    can cost is said in `coffer.relay.relay`.
    """

    def __init__(
        self,
        database: Database,
        holder: str,
        clock: Callable[[], datetime],
        *,
        ttl_s: float = TTL_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._holder = holder
        self._clock = clock
        self._ttl_s = ttl_s
        self._monotonic = monotonic
        self._renewed_s: float | None = None

    def hold(self) -> bool:
        """Take the lease, or renew it when a third of it is over; False when another relay has it.

        Cheap in between: most calls do not touch the database.
        """
        asked_s = self._monotonic()
        if self._renewed_s is not None and asked_s < self._renewed_s + min(3.0, self._ttl_s / 3):
            return True
        with self._database.writing() as tx:
            taken = leases.acquire(tx, LEASE, self._holder, self._clock(), self._ttl_s)
        self._renewed_s = asked_s if taken else None
        return taken

    def release(self) -> None:
        """Give the lease back, so that the next relay need not wait for its end."""
        if self._renewed_s is None:
            return
        self._renewed_s = None
        with self._database.writing() as tx:
            leases.release(tx, LEASE, self._holder)
