"""Ends what nobody else will end: runs past their deadline and runs whose owner died (G6)."""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from coffer.catalogue.errors import DeadlineExceeded, DispatchFailed, OwnerDied
from coffer.catalogue.operations import OPERATIONS
from coffer.lifecycle.agreed_clock import AgreedClock
from coffer.lifecycle.presence import BEAT_INTERVAL_S
from coffer.lifecycle.runs import Lifecycle
from coffer.store import runs, services
from coffer.store.runs import Run
from coffer.store.services import Service

LOG = logging.getLogger(__name__)

Resume = Callable[[Run], None]
"""Hands an unclaimed run to a taskmanager again; may raise DispatchFailed."""

CONFIRM_S = 3 * BEAT_INTERVAL_S
"""For how long a service that seems dead is watched before it counts as dead; less where services beat faster."""


class Watchdog:
    """Sweeps every `interval_s`; any number of watchdogs may run, the database lets one of them end a run."""

    def __init__(
        self, lifecycle: Lifecycle, *, resume: Resume, interval_s: float = 5.0, service_down_s: float = 60.0
    ) -> None:
        """Take a service for dead after `service_down_s` without a sign of life, the last of them under our eyes."""
        self._lifecycle = lifecycle
        self._clock = AgreedClock(lifecycle.database, lifecycle.clock, tells=True)
        self._resume = resume
        self._interval_s = interval_s
        self._service_down_s = service_down_s
        self._confirm_s = min(CONFIRM_S, service_down_s * 3 / 4)
        self._suspects: dict[str, tuple[datetime, datetime]] = {}
        """Services that seem dead: when they were last heard of, and since when we know."""
        self._unsent: list[Run] = []
        """Runs that we adopted, and could not hand on yet."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Sweep in a thread until stopped."""
        self._thread.start()

    def stop(self) -> None:
        """Stop sweeping and wait for the sweep under way."""
        self._stop.set()
        self._thread.join()

    def sweep(self) -> int:
        """End overdue and orphaned runs; return how many were ended or resumed."""
        lifecycle = self._lifecycle
        now = self._clock()
        with lifecycle.database.reading() as tx:
            overdue = runs.overdue(tx, now)
            dead = self._confirmed(services.dead(tx, now, self._service_down_s), now)
            orphaned = runs.orphaned(tx, dead) if dead else []
        self._send_unsent()
        count = sum(self._expire(run) for run in _known(overdue))
        count += self.recover(orphaned)
        if dead:
            self._bury(dead)
        return count

    def recover(self, orphans: Sequence[Run]) -> int:
        """Resume the orphaned runs that may be done twice and have time left, end the others; return how many."""
        return sum(self._recover_one(run) for run in _known(orphans))

    def hand_over(self) -> int:
        """Give the tasks of this very service to others, as if it were dead already; return how many.

        For one that is about to end and could not finish: nobody need wait until it is missed.
        """
        with self._lifecycle.database.reading() as tx:
            mine = runs.orphaned(tx, [self._lifecycle.announcer.emitter.service_id])
        return self.recover(mine)

    def _confirmed(self, silent: Sequence[Service], now: datetime) -> list[str]:
        """Return the ids of the services that were silent while we watched.

        After the database was away, or the machine asleep, everybody seems dead at first, ourselves included.
        """
        before = self._suspects
        self._suspects = {}
        for service in silent:
            heard_at, since = before.get(service.id, (service.seen_at, now))
            self._suspects[service.id] = (service.seen_at, since if heard_at == service.seen_at else now)
        return [
            service_id
            for service_id, (_, since) in self._suspects.items()
            if (now - since).total_seconds() >= self._confirm_s
        ]

    def _expire(self, run: Run) -> bool:
        deadline_s = int((run.deadline_at - run.started_at).total_seconds())
        return self._lifecycle.fail(
            run.run_id, DeadlineExceeded(operation=run.operation, deadline_s=deadline_s)
        )

    def _recover_one(self, run: Run) -> bool:
        if run.deadline_at <= self._clock():
            return self._expire(run)
        if not OPERATIONS[run.operation].resumable:
            return self._lifecycle.fail(run.run_id, OwnerDied(operation=run.operation))
        own_id = self._lifecycle.announcer.emitter.service_id
        with self._lifecycle.database.writing() as tx:
            adopted = runs.adopt(tx, run.run_id, run.claimed_by or run.owner, own_id)
        if adopted:
            self._hand_on(run)
        return adopted

    def _hand_on(self, run: Run) -> None:
        """Have an adopted run done; what nobody takes now is tried again at the next sweep."""
        try:
            self._resume(run)
        except DispatchFailed as error:
            LOG.warning("run not resumed yet run_id=%s reason=%s", run.run_id, error)
            self._unsent.append(run)
        else:
            LOG.info("run resumed run_id=%s operation=%s", run.run_id, run.operation)

    def _send_unsent(self) -> None:
        unsent, self._unsent = self._unsent, []
        now = self._clock()
        for run in unsent:
            if run.deadline_at > now:
                self._hand_on(run)

    def _bury(self, service_ids: Sequence[str]) -> None:
        """Forget services whose runs have all been dealt with."""
        with self._lifecycle.database.writing() as tx:
            for service_id in service_ids:
                if not runs.orphaned(tx, [service_id]):
                    services.remove(tx, service_id)

    def _watch(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self.sweep()
            except Exception:  # one of the six loops: a failed sweep is logged, the next one tries again
                LOG.exception("the watchdog's sweep failed")


def _known(found: Iterable[Run]) -> list[Run]:
    """Return the runs whose operation we know; a newer control plane's runs are the business of its watchdogs."""
    known = []
    for run in found:
        if run.operation in OPERATIONS:
            known.append(run)
        else:
            LOG.warning("run of an unknown operation left alone run_id=%s", run.run_id)
    return known
