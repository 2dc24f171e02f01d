"""What happens to runs between their beginning and their way to whoever ends them.

A run that the API has begun is either refused by it, or handed on. If the API stumbles in between, leaving
the block ends as `.error` what is neither, so that nobody waits for the deadline.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from coffer.api.call import ACCEPTED, Answer, Call
from coffer.api.states import require_writable
from coffer.catalogue.errors import CofferError, DeadlineExceeded, GuestUnreachable, Reset
from coffer.catalogue.operations import OPERATIONS
from coffer.lifecycle.runs import Beginning, Ending, RunNotOpenError
from coffer.store import instances
from coffer.store.database import Tx
from coffer.store.errors import StoreUnavailable
from coffer.store.instances import Instance
from coffer.wire.context import TroveContext

Cast = Callable[[TroveContext], None]
Also = Callable[[Tx, datetime], None]
"""What else a call changes, in the transaction that begins its run."""

_OF_THE_CONTENT = frozenset(name for name in OPERATIONS if name.startswith(("database_", "user_")))
"""Operations that write in the server."""


class Settling:
    """The open runs of one call."""

    def __init__(self, call: Call, begun: Beginning) -> None:
        """Take care of everything that has `begun`."""
        self._lifecycle = call.services.lifecycle
        self._contexts = list(begun.contexts)
        self._began_at = begun.runs[0].started_at
        self._open = [_run_id(context) for context in begun.contexts]

    @property
    def context(self) -> TroveContext:
        """The context of the only run."""
        (context,) = self._contexts
        return context

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for run_id in self._open:
            # With the database away it is owed, and what is raised is why we stumbled.
            with suppress(StoreUnavailable) if error else nullcontext():
                self._lifecycle.fail(run_id, error or CofferError())

    def hand_on(self, context: TroveContext, cast: Cast, *, guest_of: str | None = None) -> None:
        """Hand one run on; `guest_of` names the instance whose guest may end it.

        Raises:
            CofferError: if nobody took it; the run has ended as `.error` then.
        """
        run_id = _run_id(context)
        if guest_of is not None:
            self._lifecycle.hand_over(run_id, guest_of)
        self._lifecycle.dispatch(context, cast)
        self._settled(run_id)

    def refuse(self, context: TroveContext, error: CofferError) -> None:
        """End one run as `.error`."""
        run_id = _run_id(context)
        self._lifecycle.fail(run_id, error)
        self._settled(run_id)

    def _settled(self, run_id: str) -> None:
        if run_id in self._open:
            self._open.remove(run_id)

    def to_guest(self, instance_id: str, jobs: Sequence[CofferError | Cast]) -> Answer:
        """Refuse or hand on each run, in the order of the items; 202 if at least one was handed on.

        Raises:
            CofferError: the first refusal, if all were refused.
        """
        refusals: list[CofferError] = []
        for context, job in zip(self._contexts, jobs, strict=True):
            try:
                if isinstance(job, CofferError):
                    raise job
                self.hand_on(context, job, guest_of=instance_id)
            except CofferError as error:
                refusals.append(error)
                self.refuse(context, error)
        if len(refusals) == len(jobs):
            raise refusals[0]
        return ACCEPTED

    def hand_on_each(self, casts: Sequence[Cast]) -> None:
        """Hand each run on, in the order of the items; one that nobody takes is no reason to keep the others.

        Raises:
            CofferError: the first failure, if nobody took any; each has ended as `.error` then.
        """
        failures: list[CofferError] = []
        for context, cast in zip(self._contexts, casts, strict=True):
            try:
                self.hand_on(context, cast)
            except CofferError as error:
                failures.append(error)
                self._settled(_run_id(context))
        if len(failures) == len(casts):
            raise failures[0]

    def in_turn(self, jobs: Sequence[Cast]) -> Answer:
        """Do the work of each run here, and end it, in the order of the items; 202 if at least one went well.

        A job gets a context without its run: whoever it calls has nothing to end. A guest that was silent
        once is not waited for again.

        Raises:
            CofferError: the first failure, if all failed.
        """
        failures: list[CofferError] = []
        silence: GuestUnreachable | None = None
        for context, job in zip(self._contexts, jobs, strict=True):
            try:
                if silence is not None:
                    raise silence
                job(context.with_ticket(None))
                self.end(context)
            except CofferError as error:
                silence = error if isinstance(error, GuestUnreachable) else silence
                failures.append(error)
                self.refuse(context, error)
        if len(failures) == len(jobs):
            raise failures[0]
        return ACCEPTED

    def end(self, context: TroveContext, change: Callable[[Ending], None] = lambda _: None) -> None:
        """End one run well, with what `change` does in the transaction of its ending.

        Raises:
            DeadlineExceeded, Reset: somebody was faster to end it; what was done is done.
            Exception: what `change` raised; the run is still open.
        """
        assert context.notification is not None
        try:
            self._lifecycle.end(context.notification.run_id, change)
        except RunNotOpenError:
            operation = OPERATIONS[context.notification.operation]
            if self._lifecycle.clock() - self._began_at >= timedelta(seconds=operation.deadline_s):
                raise DeadlineExceeded(operation=operation.name, deadline_s=operation.deadline_s) from None
            raise Reset(operation=operation.name) from None
        self._settled(context.notification.run_id)


def begin(
    call: Call,
    operation: str,
    instance: Instance,
    items: Sequence[Mapping[str, str | int | None]] = ({},),
    *,
    change: Callable[[Beginning], None] = lambda _: None,
) -> Settling:
    """Begin a run for each item of an instance; `items` are traits beyond the instance's id.

    `change` writes, or refuses by raising, in the transaction of the beginning.

    Raises:
        WrongState: if the instance's state does not allow the operation; the runs have ended as `.error` then.
        ReplicaReadOnly: if the instance is a replica, and the operation writes in its server; likewise.
        CofferError: what `change` raised; the runs have ended as `.error` likewise.
    """
    traits = [{"instance_id": instance.id, **item} for item in items]
    lifecycle = call.services.lifecycle
    with lifecycle.begin(call.ctx, OPERATIONS[operation], instance=instance, items=traits) as begun:
        if operation in _OF_THE_CONTENT:
            require_writable(instances.get(begun.tx, instance.id) or instance)
        change(begun)
    return Settling(call, begun)


def _run_id(context: TroveContext) -> str:
    assert context.notification is not None
    return context.notification.run_id
