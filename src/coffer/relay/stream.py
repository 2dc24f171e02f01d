"""Carries a long outbox while all is well: the next messages are read and sent while the broker confirms the last.

The order holds as `coffer.relay.relay` says: a message is sent only when every earlier one of its run was confirmed
(`Window`), or is gone from the outbox, which is read from where nothing earlier can come up any more (`Cursor`). A row
is deleted when it was confirmed, and only then. At the first sign of trouble it stops, lets what is under way land,
and leaves the rest to the relay's careful way.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from coffer.relay.cursor import Cursor
from coffer.relay.lease import Lease
from coffer.relay.window import Window
from coffer.store import outbox
from coffer.store.database import Database
from coffer.store.errors import StoreError
from coffer.store.outbox import Pending
from coffer.wire.publisher import BrokerUnavailable, Flight, Outgoing, PipelinedPublisher

LOG = logging.getLogger(__name__)

FLIGHTS = 2
"""Batches under way: while the broker answers for one, the next one is read and sent."""
RESCAN_S = 10.0
"""How often the outbox is read from its very beginning, whatever the cursor says."""
PASS_BATCHES = 20
"""Batches a pass; between passes the relay looks after everything else."""


class SendError(Exception):
    """The publisher raised (its exception is the cause): broker trouble, whatever the exception is."""


@dataclass(slots=True)
class Carried:
    """What became of a pass so far."""

    read: int = 0
    confirmed: int = 0
    refused: list[Pending] = field(default_factory=list)


@dataclass(slots=True)
class _Pass:
    """One pass at work."""

    note: Callable[[int], None]
    result: Carried = field(default_factory=Carried)
    window: Window = field(default_factory=Window)
    flights: deque[tuple[list[Pending], Flight]] = field(default_factory=deque)
    batches: int = 0
    is_more: bool = True


class Stream:
    """Used by the relay's thread only."""

    def __init__(
        self,
        database: Database,
        publisher: PipelinedPublisher,
        lease: Lease,
        *,
        batch_size: int,
        stopping: threading.Event,
        monotonic: Callable[[], float],
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._lease = lease
        self._batch_size = batch_size
        self._stopping = stopping
        self._monotonic = monotonic
        self._cursor = Cursor()
        self._rescan_at_s = 0.0

    def reset(self) -> None:
        """Forget what is known of the outbox: somebody else was at it, or something waits that was read before."""
        self._cursor.reset()

    def carry(self, note: Callable[[int], None]) -> Carried:
        """Carry the outbox until it is empty or trouble comes up; `note` gets each number of confirmed messages.

        Nothing is under way any more when it returns or raises.

        Raises:
            SendError: if the broker is not there; what it had confirmed is deleted.
            StoreError: if the database is not there.
        """
        now = _Pass(note)
        try:
            self._carry(now)
        except BaseException:
            self._abandon(now)
            self.reset()
            raise
        if len(now.window):
            self.reset()
        return now.result

    def _carry(self, now: _Pass) -> None:
        while True:
            self._fill(now)
            if len(now.flights) < FLIGHTS and now.is_more and len(now.window) <= self._batch_size:
                self._read(now)
            elif now.flights:
                self._land(now)
            else:
                return

    def _read(self, now: _Pass) -> None:
        if self._monotonic() >= self._rescan_at_s:
            self._cursor.reset()
            self._rescan_at_s = self._monotonic() + RESCAN_S
        after = self._cursor.after(now.window.lowest)
        with self._database.reading() as tx:
            rows = outbox.head(tx, self._batch_size, after=after, excluding=now.window.ids)
            if rows:
                is_complete = len(rows) < self._batch_size
                self._cursor.read(rows[-1].id, outbox.horizon(tx), is_complete=is_complete)
        now.result.read += len(rows)
        now.window.add(rows)
        now.batches += 1
        is_last = now.batches == PASS_BATCHES or self._stopping.is_set()
        now.is_more = len(rows) == self._batch_size and not is_last

    def _fill(self, now: _Pass) -> None:
        """Send what may go, as long as fewer than two batches are under way."""
        while len(now.flights) < FLIGHTS and not now.result.refused:
            if not self._lease.hold():
                now.is_more = False
                return
            rows = now.window.take(self._batch_size)
            if not rows:
                return
            now.flights.append((rows, self._sent(rows)))

    def _sent(self, rows: Sequence[Pending]) -> Flight:
        try:
            return self._publisher.send([Outgoing(id=r.id, severity=r.severity, body=r.body) for r in rows])
        except Exception as error:
            raise SendError from error

    def _land(self, now: _Pass) -> None:
        rows, flight = now.flights.popleft()
        try:
            confirmed = flight.land()
        except Exception as error:
            raise SendError from error
        now.window.landed(rows, confirmed)
        refused = [row for row in rows if row.id not in confirmed]
        now.result.refused += refused
        now.is_more = now.is_more and not refused
        self._delete(now, confirmed)

    def _delete(self, now: _Pass, confirmed: frozenset[int]) -> None:
        if not confirmed:
            return
        with self._database.writing() as tx:
            outbox.delete(tx, confirmed)
        now.result.confirmed += len(confirmed)
        now.note(len(confirmed))

    def _abandon(self, now: _Pass) -> None:
        """Delete what is known to have arrived; what cannot be deleted now will be sent again."""
        while now.flights:
            _, flight = now.flights.popleft()
            try:
                self._delete(now, flight.land())
            except (BrokerUnavailable, StoreError) as error:
                LOG.debug("a batch broke off reason=%s", error)
