"""Tells the conductor how the runs ended that were handed to this guest.

The broker may deliver a task twice, and a report may be lost on its way, or with the conductor that has it in hand.
So a run that is under way is not begun again, one that ended is reported again with the same outcome, and a report is
repeated until the conductor has answered that it is written. The journal keeps across the death of the agent what
the next one has to report.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from coffer.catalogue.errors import DispatchFailed
from coffer.guestagent.journal import Journal
from coffer.guestagent.outcomes import Ended, Failed, Outcome, failure_of, interrupted
from coffer.wire.conductor_client import ReportNotTakenError
from coffer.wire.context import TroveContext
from coffer.wire.json import JSON

LOG = logging.getLogger(__name__)

_REMEMBERED_RUNS: Final = 1000


class Conductor(Protocol):
    """What a guest may tell the control plane; `coffer.wire.contracts.ConductorClient` in production."""

    def heartbeat(
        self,
        ctx: TroveContext,
        instance_id: str,
        status: str,
        sent_at: str,
        *,
        volume_used_bytes: int | None = None,
    ) -> None:
        """Say how the server is. Raises DispatchFailed."""

    def notify_end(self, ctx: TroveContext, instance_id: str, traits: Mapping[str, JSON]) -> None:
        """Say that the run ended well, and hear that it is written. Raises DispatchFailed, ReportNotTakenError."""

    def notify_exc_info(
        self, ctx: TroveContext, instance_id: str, etype: str, value: Mapping[str, JSON], trace: str
    ) -> None:
        """Say that the run failed, and hear that it is written. Raises DispatchFailed, ReportNotTakenError."""


class Reporter:
    """Does the work of runs, each once, and reports each; safe to use from several threads."""

    def __init__(self, conductor: Conductor, instance_id: str, journal: Journal) -> None:
        """Report to `conductor` in the name of an instance, whose runs `journal` keeps."""
        self._conductor = conductor
        self._instance_id = instance_id
        self._journal = journal
        self._lock = threading.Lock()
        self._outcomes: OrderedDict[str, Outcome | None] = OrderedDict()
        """The last runs by id; None for one that is under way."""
        self._unanswered: OrderedDict[str, tuple[TroveContext, Outcome]] = OrderedDict()
        """Reports to repeat, by run; what is too much here is still in the journal, for the next agent."""

    def run(
        self,
        ctx: TroveContext,
        work: Callable[[], Mapping[str, JSON] | None],
        *,
        leaves: str | None = None,
    ) -> None:
        """Do the work of the context's run and report its end; without a run (old control plane), just do it.

        What the work returns goes into the report. `leaves` is where it leaves a beginning in the object store if
        this agent is killed.

        Raises:
            Exception: whatever the work raised, after it was reported.
        """
        if not self._admit(ctx, leaves):
            return
        try:
            traits = work()
        except Exception as error:
            self._finish(ctx, failure_of(error))
            raise
        self._finish(ctx, Ended(dict(traits or {})))

    def recover(self, clear: Callable[[str], None] = lambda _: None) -> None:
        """Take over what an earlier agent left unreported; the next `resend` reports it.

        A run that was under way has failed: what is half done is not begun again, and `clear` is called with what it
        leaves.
        """
        for entry in self._journal.left():
            assert entry.ctx.notification is not None
            ticket = entry.ctx.notification
            LOG.warning(
                "run left by an earlier agent run_id=%s operation=%s is_over=%s",
                ticket.run_id,
                ticket.operation,
                entry.outcome is not None,
            )
            if entry.outcome is None and entry.leaves is not None:
                clear(entry.leaves)
            outcome = entry.outcome or interrupted(ticket.operation)
            with self._lock:
                self._outcomes[ticket.run_id] = outcome
            self._keep(entry.ctx, outcome)

    def resend(self) -> None:
        """Send the reports that were not answered yet, in order.

        Raises:
            DispatchFailed: nobody answers now, either; they are kept.
        """
        with self._lock:
            unanswered = list(self._unanswered.items())
        for run_id, (ctx, outcome) in unanswered:
            try:
                self._send(ctx, outcome)
            except ReportNotTakenError as error:
                LOG.warning("report not taken run_id=%s reason=%s", run_id, error)
                continue
            with self._lock:
                self._unanswered.pop(run_id, None)

    def _admit(self, ctx: TroveContext, leaves: str | None) -> bool:
        """Return whether this delivery is the first of its run."""
        if ctx.notification is None:
            return True
        run_id = ctx.notification.run_id
        with self._lock:
            is_first = run_id not in self._outcomes
            if is_first:
                self._outcomes[run_id] = None
                while len(self._outcomes) > _REMEMBERED_RUNS:
                    self._outcomes.popitem(last=False)
            outcome = self._outcomes[run_id]
        if is_first:
            self._journal.begin(ctx, leaves=leaves)
            return True
        LOG.warning("task delivered again run_id=%s under_way=%s", run_id, outcome is None)
        if outcome is not None:
            self._report(ctx, outcome)
        return False

    def _finish(self, ctx: TroveContext, outcome: Outcome) -> None:
        if ctx.notification is None:
            return
        with self._lock:
            self._outcomes[ctx.notification.run_id] = outcome
        # Before it is told: an agent killed in between would call its run interrupted.
        self._journal.decide(ctx, outcome)
        self._report(ctx, outcome)

    def _report(self, ctx: TroveContext, outcome: Outcome) -> None:
        try:
            self._send(ctx, outcome)
        except (DispatchFailed, ReportNotTakenError):
            self._keep(ctx, outcome)

    def _keep(self, ctx: TroveContext, outcome: Outcome) -> None:
        assert ctx.notification is not None, "only runs are reported"
        with self._lock:
            self._unanswered[ctx.notification.run_id] = (ctx, outcome)
            while len(self._unanswered) > _REMEMBERED_RUNS:
                self._unanswered.popitem(last=False)

    def _send(self, ctx: TroveContext, outcome: Outcome) -> None:
        """Report, and forget what is reported.

        Raises:
            DispatchFailed: nobody answers.
            ReportNotTakenError: it could not be written.
        """
        match outcome:
            case Ended(traits):
                self._conductor.notify_end(ctx, self._instance_id, traits)
            case Failed(etype, value, trace):
                self._conductor.notify_exc_info(ctx, self._instance_id, etype, value, trace)
        self._journal.forget(ctx)
