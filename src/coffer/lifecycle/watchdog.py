"""Ends what nobody else will end: runs past their deadline and runs whose owner died (G6)."""

import logging
import threading
from collections.abc import Callable, Sequence

from coffer.catalogue.errors import DeadlineExceeded, OwnerDied
from coffer.catalogue.operations import OPERATIONS
from coffer.lifecycle.runs import Lifecycle
from coffer.store import runs, services
from coffer.store.runs import Run

LOG = logging.getLogger(__name__)

Resume = Callable[[Run], None]
"""Hands an unclaimed run to a taskmanager again."""


class Watchdog:
    """Sweeps every `interval_s`; any number of watchdogs may run, the database lets one of them end a run."""

    def __init__(
        self, lifecycle: Lifecycle, *, resume: Resume, interval_s: float = 5.0, service_down_s: float = 60.0
    ) -> None:
        """Take a service for dead after `service_down_s` without a sign of life."""
        self._lifecycle = lifecycle
        self._resume = resume
        self._interval_s = interval_s
        self._service_down_s = service_down_s
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
        now = lifecycle.clock()
        with lifecycle.database.reading() as tx:
            overdue = runs.overdue(tx, now)
            dead = services.dead(tx, now, self._service_down_s)
            orphaned = runs.orphaned(tx, [service.id for service in dead]) if dead else []
        count = sum(self._expire(run) for run in overdue)
        count += self.recover([run for run in orphaned if run.deadline_at > now])
        if dead:
            self._bury([service.id for service in dead])
        return count

    def recover(self, orphans: Sequence[Run]) -> int:
        """Resume the orphaned runs that may be done twice, end the others; return how many."""
        return sum(self._recover_one(run) for run in orphans)

    def _expire(self, run: Run) -> bool:
        deadline_s = int((run.deadline_at - run.started_at).total_seconds())
        return self._lifecycle.fail(
            run.run_id, DeadlineExceeded(operation=run.operation, deadline_s=deadline_s)
        )

    def _recover_one(self, run: Run) -> bool:
        if not OPERATIONS[run.operation].resumable:
            return self._lifecycle.fail(run.run_id, OwnerDied(operation=run.operation))
        own_id = self._lifecycle.announcer.emitter.service_id
        with self._lifecycle.database.writing() as tx:
            adopted = runs.adopt(tx, run.run_id, run.claimed_by or run.owner, own_id)
        if adopted:
            LOG.info("run resumed run_id=%s operation=%s", run.run_id, run.operation)
            self._resume(run)
        return adopted

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
            except Exception:  # one of the five loops: a failed sweep is logged, the next one tries again
                LOG.exception("the watchdog's sweep failed")
