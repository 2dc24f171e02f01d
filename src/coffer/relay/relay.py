"""Carries the outbox to the broker: in order within a run, confirmed, at least once.

It never looks into a message.

Why the order holds. A message is sent only when every earlier message of its run is known to be in the
broker: either this relay saw it confirmed in an earlier wave, or its row is gone from the outbox, and rows go
only after a confirmation. The outbox is always read from its head in one statement (from its true one, or from
where nothing earlier is left or will come, `coffer.relay.cursor`), so an earlier message that still waits is seen,
or is among those that this relay has set aside, whose followers wait behind them.
This argument does not mention the lease: even if two relays publish at once, each message *arrives
first* after all messages before it. What a second relay (or a crash between the confirmation and the
deletion) can add is a repetition of something that arrived before, byte for byte with the same `message_id`,
and consumers drop those.

Two ways. While all is well a long outbox is carried batch after batch, two of them under way
(`coffer.relay.stream`); in any trouble, and through a publisher that sends one batch at a time, wave by wave.

What the lease is for. It keeps two relays from doing everything twice. So a relay that finds its lease gone,
or that could not renew it in time, stops after the wave that is under way and does not send the rest of its
batch; the wave under way cannot be called back and need not be. A holder that dies is replaced when its lease
ends, one that stops in order gives it back at once.

What happens in trouble. Broker or database away: the batch shrinks to a probe, attempts are paced by a
backoff that `stop` interrupts, one log line when it begins, one when it is over. A message that the broker
refuses is set aside with the later ones of its run (`coffer.relay.parking`), the others go on. A message
whose sending breaks the connection is found by the shrinking batch and from then on tried alone.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum

from coffer.relay.health import Health, Part, RelayStatus, Role
from coffer.relay.lease import TTL_S, Lease
from coffer.relay.pace import Pace
from coffer.relay.parking import Parking
from coffer.relay.stream import SendError, Stream
from coffer.relay.waves import waves
from coffer.store import outbox
from coffer.store.database import Database
from coffer.store.outbox import Pending
from coffer.wire.publisher import BrokerUnavailable, Outgoing, PipelinedPublisher, Publisher

LOG = logging.getLogger(__name__)

BATCH_SIZE = 500
POLL_S = 0.1
STANDBY_POLL_S = 1.0


class Outcome(StrEnum):
    """What a pass came to, and so how long the relay may rest."""

    WORKED = "worked"
    IDLE = "idle"
    STANDBY = "standby"
    TROUBLE = "trouble"


class Relay:
    """One relay; `start` runs it in a thread of its own, `run_once` makes one pass in the caller's.

    The publisher belongs to the relay from here on: it is used by one thread at a time and closed at the end.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        holder: str,
        clock: Callable[[], datetime],
        *,
        wake: threading.Event | None = None,
        batch_size: int = BATCH_SIZE,
        lease_ttl_s: float = TTL_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the relay.

        Args:
            database: the one with the outbox and the leases.
            publisher: how messages reach the broker.
            holder: names this relay in the lease; different for each process.
            clock: the wall clock, aware UTC.
            wake: set by whoever commits to the outbox in this process; without it the outbox is polled.
            batch_size: rows read and sent at once.
            lease_ttl_s: seconds after which another relay takes over from a dead one.
            monotonic: seconds, for the lease and for pauses.
        """
        self._database = database
        self._publisher = publisher
        self._monotonic = monotonic
        self._wake = wake or threading.Event()
        self._batch_size = batch_size
        self._lease = Lease(database, holder, clock, ttl_s=lease_ttl_s, monotonic=monotonic)
        self._pace = Pace(batch_size)
        self._parking = Parking()
        self._health = Health(clock)
        self._stopping = threading.Event()
        self._stream: Stream | None = None
        if isinstance(publisher, PipelinedPublisher):
            self._stream = Stream(
                database,
                publisher,
                self._lease,
                batch_size=batch_size,
                stopping=self._stopping,
                monotonic=monotonic,
            )
        self._thread: threading.Thread | None = None

    def status(self) -> RelayStatus:
        """Counters and state of this relay; safe from any thread."""
        return self._health.status()

    def trouble(self) -> str | None:
        """Return what keeps events from leaving, in a sentence; None if nothing does. Safe from any thread."""
        return self._health.trouble()

    def start(self) -> None:
        """Run until `stop`."""
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Finish the batch under way, give the lease back, close the publisher.

        Raises:
            TimeoutError: if the thread did not end in `timeout_s` (a publisher that waits without a limit).
        """
        self._stopping.set()
        self._wake.set()
        if self._thread is None:
            self._close()
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError(f"the relay did not stop within {timeout_s} s")
        self._thread = None

    def run_once(self) -> Outcome:
        """Make one pass: hold the lease, read the head of the outbox, publish, delete what was confirmed.

        Never raises for trouble of the broker or of the database.
        """
        try:
            outcome = self._pass()
        except SendError as error:
            cause = error.__cause__ or error
            return self._failed(Part.BROKER, cause, unexpected=not isinstance(cause, BrokerUnavailable))
        except Exception as error:  # noqa: BLE001 - one of the six loops: whatever it is, events wait and we go on
            return self._failed(Part.DATABASE, error, unexpected=True)
        self._health.works(Part.DATABASE)
        if self._pace.failures and not self._health.ails(Part.BROKER):
            self._pace.succeeded()
        return outcome

    def _pass(self) -> Outcome:
        if not self._lease.hold():
            self._health.acts_as(Role.STANDBY)
            if self._stream is not None:
                self._stream.reset()
            return Outcome.STANDBY
        self._health.acts_as(Role.ACTIVE)
        if self._stream is not None and self._pace.is_full and self._parking.is_empty:
            return self._carry_along(self._stream)
        return self._carry_carefully()

    def _carry_carefully(self) -> Outcome:
        """Read a batch, and publish of it what may go now."""
        excluding = self._parking.excluded(self._monotonic())
        with self._database.reading() as tx:
            rows = outbox.head(tx, self._batch_size, excluding=excluding)
        if not rows:
            return Outcome.IDLE
        return self._carry(self._parking.without_those_behind(rows, self._monotonic()))

    def _carry_along(self, stream: Stream) -> Outcome:
        """All is well: batch after batch, two of them under way."""
        carried = stream.carry(
            lambda confirmed: self._health.counts(confirmed=confirmed, refused=0, set_aside=0)
        )
        refused = self._sort(carried.refused, frozenset())
        if carried.confirmed or refused:
            self._broker_answers()
        if refused:
            self._health.counts(confirmed=0, refused=refused, set_aside=len(self._parking))
            self._carry_carefully()
        return Outcome.WORKED if carried.read else Outcome.IDLE

    def _carry(self, rows: Sequence[Pending]) -> Outcome:
        """Publish those of `rows` that may go now: a batch, then at most one that must travel alone."""
        company = [row for row in rows if not self._parking.is_suspect(row)][: self._pace.limit]
        alone = next((row for row in rows if self._parking.is_suspect(row)), None)
        confirmed = self._publish(company)
        if alone is not None:
            confirmed += self._publish_alone(alone, others_got_through=bool(confirmed))
        return Outcome.TROUBLE if not confirmed and self._parking.is_full else Outcome.WORKED

    def _publish_alone(self, row: Pending, *, others_got_through: bool) -> int:
        """Publish one suspect. When others got through just before, its failure is its own and no outage."""
        try:
            return self._publish([row])
        except SendError:
            if not others_got_through:
                raise
            # Without a traceback: it is the message's fault, and comes again with each attempt.
            LOG.error(  # noqa: TRY400
                "a message breaks the connection to the broker outbox_id=%d bytes=%d", row.id, len(row.body)
            )
            return 0

    def _publish(self, rows: Sequence[Pending]) -> int:
        """Publish `rows` wave by wave and delete what was confirmed, whatever happens; return how many."""
        confirmed: list[int] = []
        refused = 0
        try:
            for wave in waves(rows):
                if not self._lease.hold():
                    break
                sendable = self._parking.without_those_behind(wave, self._monotonic())
                taken = self._send(sendable)
                confirmed.extend(taken)
                refused += self._sort(sendable, taken)
        finally:
            if confirmed:
                with self._database.writing() as tx:
                    outbox.delete(tx, confirmed)
            self._health.counts(confirmed=len(confirmed), refused=refused, set_aside=len(self._parking))
        if confirmed or refused:
            self._broker_answers()
        return len(confirmed)

    def _send(self, rows: Sequence[Pending]) -> frozenset[int]:
        if not rows:
            return frozenset()
        try:
            return self._publisher.publish(
                [Outgoing(id=r.id, severity=r.severity, body=r.body) for r in rows]
            )
        except Exception as error:
            # Perhaps the broker is away, perhaps this one message kills every connection that carries it: let
            # the next attempt try another one, and if that gets through, the suspicion is right.
            if len(rows) == 1:
                self._parking.refuse(rows[0], self._monotonic(), suspect=True)
            raise SendError from error

    def _sort(self, sent: Sequence[Pending], taken: frozenset[int]) -> int:
        """Set aside what the broker did not take; return how many."""
        self._parking.confirmed(row for row in sent if row.id in taken)
        left = [row for row in sent if row.id not in taken]
        for row in left:
            self._parking.refuse(row, self._monotonic())
        return len(left)

    def _failed(self, part: Part, error: BaseException, *, unexpected: bool) -> Outcome:
        self._pace.failed()
        self._health.fails(part, error, unexpected=unexpected)
        return Outcome.TROUBLE

    def _broker_answers(self) -> None:
        if self._pace.failures:
            self._parking.release_suspects(self._monotonic())
        self._pace.succeeded()
        self._health.works(Part.BROKER)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._wake.clear()
                self._rest_after(self.run_once())
        finally:
            self._close()

    def _rest_after(self, outcome: Outcome) -> None:
        if outcome is Outcome.IDLE:
            self._wake.wait(POLL_S)
        elif outcome is Outcome.STANDBY:
            self._stopping.wait(STANDBY_POLL_S)
        elif outcome is Outcome.TROUBLE:
            self._stopping.wait(self._pace.pause_s())

    def _close(self) -> None:
        """Release what the relay holds. The lease ends by itself if the database is away now."""
        try:
            self._lease.release()
        except Exception as error:  # noqa: BLE001 - the same loop, its last turn
            LOG.warning("the lease could not be given back, it ends by itself: %s", type(error).__name__)
        finally:
            self._publisher.close()
