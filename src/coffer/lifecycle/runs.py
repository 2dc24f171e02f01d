"""The only way to begin or end a run.

A run, the state that it moves and the event that announces it are written in one transaction (G1). A run ends by
compare-and-set in the database, so a second ending is refused whoever tries it (G2).
"""

import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coffer.catalogue.errors import CofferError, Fault
from coffer.catalogue.events import Phase, operation_event
from coffer.catalogue.operations import OPERATIONS, Operation
from coffer.catalogue.trace import visible
from coffer.lifecycle import aftermath, groups, moves
from coffer.lifecycle.announcer import Announcement, Announcer
from coffer.lifecycle.debts import Debts
from coffer.lifecycle.emitter import Clock, utcnow
from coffer.lifecycle.facts import instance_facts
from coffer.lifecycle.failures import Failure
from coffer.lifecycle.operation_facts import ending_values, own_subject, start_values
from coffer.lifecycle.patience import Patience
from coffer.lifecycle.payloads import Value
from coffer.store import outbox, runs
from coffer.store.database import Database, Tx
from coffer.store.instances import Instance
from coffer.store.runs import Run
from coffer.wire.context import Ticket, TroveContext

LOG = logging.getLogger(__name__)


class RunNotOpenError(Exception):
    """The run is unknown, has ended already, or belongs to somebody else: what was to end it has no effect."""


@dataclass(slots=True)
class Beginning:
    """An open transaction in which runs have begun; one run and one context an item, in the items' order."""

    tx: Tx
    runs: list[Run]
    contexts: list[TroveContext]

    @property
    def run(self) -> Run:
        """The run of an operation on a single item."""
        (run,) = self.runs
        return run

    @property
    def context(self) -> TroveContext:
        """The context that carries the single run to whoever must end it."""
        (context,) = self.contexts
        return context


@dataclass(slots=True)
class Ending:
    """An open transaction in which a run has just ended well, its instance moved; `traits` go into its `.end`."""

    tx: Tx
    run: Run
    now: datetime
    traits: dict[str, Value] = field(default_factory=dict)
    facts: list[Announcement] = field(default_factory=list)


class Lifecycle:
    """Begins and ends runs in the name of one service."""

    def __init__(
        self,
        database: Database,
        announcer: Announcer,
        *,
        clock: Clock = utcnow,
        wake: Callable[[], None] = lambda: None,
        service_ids: Mapping[str, str] | None = None,
        patience_s: float = 0.0,
    ) -> None:
        """Write to `database`; call `wake` after each commit that left something in the outbox.

        `service_ids` are the notification service ids by datastore. With `patience_s` whatever is done to a
        run that has begun is tried again for so long while the database is away.
        """
        self.database = database
        self.announcer = announcer
        self.clock = clock
        self._wake = wake
        self._service_ids = service_ids or {}
        self._patience = Patience(patience_s)
        self._debts = Debts(self._settle)

    @contextmanager
    def begin(
        self,
        ctx: TroveContext,
        operation: Operation,
        *,
        instance: Instance | None = None,
        instance_id: str | None = None,
        items: Sequence[Mapping[str, str | int | None]] = ({},),
    ) -> Iterator[Beginning]:
        """Begin one run an item; the body may write in the same transaction.

        `items` are the start's traits. Without `instance` and `instance_id` a run is about the `instance_id` of its
        own item, if it has one. The operation's move is applied to `instance`, or refused. A CofferError
        from the refusal or from the body undoes what the body wrote, ends every run as `.error` in the same
        transaction and is raised again after the commit: the call was made, so it is announced.

        Raises:
            WrongState: if the operation is not allowed in the instance's state.
            CofferError: whatever the body raised.
        """
        subject = instance.id if instance else instance_id
        refusal: tuple[CofferError, Failure] | None = None
        opened: list[str] = []  # or perhaps not, if the connection breaks in the commit
        with self._debts.noted(opened), self.database.writing() as tx:
            now = self.clock()
            if instance is not None:
                groups.take_turn(tx, operation, instance.id)
            state = moves.current_state(tx, instance.id) if instance else None
            begun = [self._open(tx, ctx, operation, subject, state, item, now) for item in items]
            opened += [run.run_id for run in begun]
            contexts = [ctx.with_ticket(Ticket(run_id=run.run_id, operation=operation.name)) for run in begun]
            try:
                with self.database.savepoint(tx):
                    if instance is not None and state is not None:
                        moves.begin(tx, operation, instance.id, state, now)
                    yield Beginning(tx=tx, runs=begun, contexts=contexts)
            except CofferError as error:
                refusal = error, Failure.of(error)
                for run in begun:
                    self._end_as_error(tx, run, refusal[1], now)
        self._wake()
        _log_beginnings(begun)
        if refusal is not None:
            for run in begun:
                _log_failure(run, refusal[1])
            raise refusal[0]

    @contextmanager
    def ending(self, run_id: str, *, handed_to: str | None = None) -> Iterator[Ending]:
        """End a run well; the body adds traits, facts and writes to the same transaction.

        An exception from the body undoes everything; the run stays open.

        Raises:
            RunNotOpenError: if the run has ended, is unknown, or was not handed to the guest `handed_to`.
        """
        with self.database.writing() as tx:
            run, now = self._close(tx, run_id, handed_to=handed_to)
            moves.succeed(tx, run, now)
            ending = Ending(tx=tx, run=run, now=now)
            yield ending
            self._announce_ending(tx, run, Phase.END, ending.traits, now)
            self.announcer.announce(tx, ending.facts, now)
        LOG.info("run ended run_id=%s operation=%s ending=end", run_id, run.operation)
        self._wake()

    def end(
        self, run_id: str, change: Callable[[Ending], None] = lambda _: None, *, handed_to: str | None = None
    ) -> None:
        """End a run well, with what `change` does to its ending; patiently, so `change` only writes.

        Raises:
            RunNotOpenError: as for `ending`.
        """

        def once() -> None:
            with self.ending(run_id, handed_to=handed_to) as ending:
                change(ending)

        self._patience.persist(once)

    def fail(self, run_id: str, error: BaseException | Failure, *, handed_to: str | None = None) -> bool:
        """End a run as `.error`; False if it had ended already, is unknown or is another guest's.

        Raises:
            StoreUnavailable: it will be ended as soon as the database is back.
        """
        failure = error if isinstance(error, Failure) else Failure.of(error)
        with self._debts.noted([run_id], failure, handed_to=handed_to):
            return self._patience.persist(lambda: self._settle(run_id, failure, handed_to))

    def dispatch(self, context: TroveContext, cast: Callable[[TroveContext], None]) -> None:
        """Hand a begun run on; if nobody takes it, it ends as `.error`.

        Raises:
            CofferError: what `cast` raised.
        """
        try:
            cast(context)
        except CofferError as error:
            if context.notification is not None:
                self.fail(context.notification.run_id, error)
            raise

    def claim(self, run_id: str) -> bool:
        """Take a run for this service; False if it was taken or ended before (a second delivery)."""

        def once() -> bool:
            with self.database.writing() as tx:
                return runs.claim(tx, run_id, self.announcer.emitter.service_id, self.clock())

        return self._patience.persist(once)

    def hand_over(self, run_id: str, instance_id: str) -> bool:
        """Let the guest of `instance_id`, and no other guest, end the run; False if it has ended."""

        def once() -> bool:
            with self.database.writing() as tx:
                return runs.hand_over(tx, run_id, instance_id)

        return self._patience.persist(once)

    def note(self, change: Callable[[Tx, datetime], object]) -> None:
        """Write what has come true, whether its run is still open or not; patiently, so `change` only writes."""

        def once() -> None:
            with self.database.writing() as tx:
                change(tx, self.clock())

        self._patience.persist(once)

    def is_open(self, run_id: str) -> bool:
        """Say whether somebody still waits for what a run is to do."""
        with self.database.reading() as tx:
            run = runs.get(tx, run_id)
        return run is not None and run.ended_at is None

    def state_fact(
        self, ending: Ending, event_type: str, instance: Instance, **values: int | datetime
    ) -> None:
        """State a `trove.instance.*` fact in the transaction of the state that it reports.

        Its user is the one who made the call, as it is specified, whoever created the instance.
        """
        facts = instance_facts(instance, service_ids=self._service_ids)
        facts["user_id"] = ending.run.user_id or instance.user_id
        ending.facts.append(
            Announcement(
                event_type=event_type,
                values={**facts, **values},
                context=json.loads(ending.run.context or "{}"),
                run_id=ending.run.run_id,
            )
        )

    def announce(
        self, announcements: Sequence[Announcement], advance: Callable[[Tx], bool] = lambda _: True
    ) -> bool:
        """Announce what belongs to no run, in the transaction in which `advance` notes how far that has come.

        Nothing happens, and the answer is False, where `advance` says that somebody else was faster.
        """
        # Prepared before the transaction begins: thousands at once would make everybody else's wait.
        rows = self.announcer.sealed(announcements, self.clock())
        with self.database.writing() as tx:
            if not advance(tx):
                return False
            outbox.append(tx, rows)
        self._wake()
        return True

    def _open(
        self,
        tx: Tx,
        ctx: TroveContext,
        operation: Operation,
        instance_id: str | None,
        state: str | None,
        item: Mapping[str, str | int | None],
        now: datetime,
    ) -> Run:
        assert ctx.project_id is not None, "a run belongs to a project; the API lets nobody in without one"
        traits = {key: value for key, value in item.items() if value is not None}
        run = Run(
            run_id=str(uuid.uuid4()),
            operation=operation.name,
            request_id=ctx.request_id,
            project_id=ctx.project_id,
            user_id=ctx.user_id,
            instance_id=instance_id or own_subject(operation, traits),
            item=visible(str(traits[operation.item_trait])) if operation.item_trait in traits else None,
            traits=json.dumps(traits),
            client_ip=ctx.client_ip,
            previous_state=state,
            context=json.dumps(ctx.for_notification()),
            owner=self.announcer.emitter.service_id,
            started_at=now,
            deadline_at=now + timedelta(seconds=operation.deadline_s),
        )
        runs.insert(tx, run)
        values = start_values(run, traits, self.announcer.emitter)
        self._announce(tx, run, operation, Phase.START, values, now)
        return run

    def _close(self, tx: Tx, run_id: str, *, handed_to: str | None) -> tuple[Run, datetime]:
        run = runs.get(tx, run_id)
        if run is None or run.ended_at is not None:
            raise RunNotOpenError(f"run {run_id} is not open")
        if handed_to is not None and run.handed_to != handed_to:
            raise RunNotOpenError(f"run {run_id} was not handed to instance {handed_to}")
        now = max(self.clock(), run.started_at)  # it may have begun by a faster clock
        if not runs.end(tx, run_id, now, ending=Phase.END):
            raise RunNotOpenError(f"run {run_id} is not open")
        return run, now

    def _settle(self, run_id: str, failure: Failure, handed_to: str | None) -> bool:
        """End a run as `.error`, and tell; False if it was not open."""
        run = self._fail(run_id, failure, handed_to)
        if run is not None:
            _log_failure(run, failure)
            self._wake()
        return run is not None

    def _fail(self, run_id: str, failure: Failure, handed_to: str | None) -> Run | None:
        """Return the run if it was open and is ended now."""
        with self.database.writing() as tx:
            run = runs.get(tx, run_id)
            if run is None or (handed_to is not None and run.handed_to != handed_to):
                return None
            now = max(self.clock(), run.started_at)
            if not self._end_as_error(tx, run, failure, now):
                return None
            moves.restore(tx, run, failure, now)
            aftermath.of_failure(tx, run, failure, now)
            return run

    def _end_as_error(self, tx: Tx, run: Run, failure: Failure, now: datetime) -> bool:
        won = runs.end(
            tx,
            run.run_id,
            now,
            ending=Phase.ERROR,
            error_code=failure.code,
            fault=failure.fault,
            message=failure.message,
        )
        if won:
            values: dict[str, Value] = {
                "instance_id": run.instance_id,
                "message": failure.message,
                "exception": failure.exception,
                "error_code": failure.code,
                "fault": str(failure.fault),
            }
            self._announce_ending(tx, run, Phase.ERROR, values, now)
        return won

    def _announce_ending(
        self,
        tx: Tx,
        run: Run,
        phase: Phase,
        values: Mapping[str, Value],
        now: datetime,
    ) -> None:
        full = ending_values(run, values, self.announcer.emitter, now)
        self._announce(tx, run, OPERATIONS[run.operation], phase, full, now)

    def _announce(
        self,
        tx: Tx,
        run: Run,
        operation: Operation,
        phase: Phase,
        values: Mapping[str, Value],
        now: datetime,
    ) -> None:
        announcement = Announcement(
            event_type=operation_event(operation, phase).event_type,
            values=values,
            context=json.loads(run.context or "{}"),
            run_id=run.run_id,
        )
        self.announcer.announce(tx, [announcement], now)


def _log_beginnings(begun: Sequence[Run]) -> None:
    for run in begun:
        LOG.info("run began run_id=%s operation=%s request_id=%s", run.run_id, run.operation, run.request_id)


def _log_failure(run: Run, failure: Failure) -> None:
    """A tenant's mistake is no error of the operator's."""
    LOG.log(
        logging.INFO if failure.fault is Fault.USER else logging.ERROR,
        "run ended run_id=%s operation=%s ending=error code=%s request_id=%s",
        run.run_id,
        run.operation,
        failure.code,
        run.request_id,
    )
