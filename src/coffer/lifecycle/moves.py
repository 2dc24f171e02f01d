"""How runs move their instances from state to state: by compare-and-set, in the transaction of the run's event."""

from datetime import datetime

from coffer.catalogue.errors import Fault, WrongState
from coffer.catalogue.operations import OPERATIONS, Operation
from coffer.catalogue.states import SERVING, USABLE, InstanceState
from coffer.lifecycle.failures import Failure
from coffer.store import instances, runs
from coffer.store.database import Tx
from coffer.store.runs import Run

_SERVING_ON = [
    operation.name
    for operation in OPERATIONS.values()
    if operation.move and operation.move.during in SERVING and operation.move.end is None
]
"""Operations that hold an instance while it serves, and leave it as it was."""


def current_state(tx: Tx, instance_id: str) -> InstanceState:
    """Return the state as this transaction sees it; what a handler read before may be old."""
    instance = instances.get(tx, instance_id)
    return instance.state if instance else InstanceState.DELETED


def begin(tx: Tx, operation: Operation, instance_id: str, state: InstanceState, now: datetime) -> None:
    """Move the instance from `state` to the operation's `during`, if it has one.

    Raises:
        WrongState: if the operation is not allowed in `state`, or another operation was faster.
    """
    move = operation.move
    if move is None:
        return
    if state not in move.allowed:
        raise _refusal(operation, instance_id, state)
    if move.during is not None and not instances.move(tx, instance_id, {state}, move.during, now):
        # Somebody was faster; the sentence names the state that he left, not the one that we saw before.
        raise _refusal(operation, instance_id, current_state(tx, instance_id))


def succeed(tx: Tx, run: Run, now: datetime) -> None:
    """Move the instance of a run that ended well to the state after it, and forget what was wrong before.

    What is done about something else, a backup say, has put nothing right.
    """
    move = OPERATIONS[run.operation].move
    if run.instance_id is None or move is None or move.during is None:
        return
    after = move.end or _previous_state(tx, run) or InstanceState.ACTIVE
    if instances.move(tx, run.instance_id, {move.during}, after, now) and _is_about_the_instance(run):
        instances.clear_fault(tx, run.instance_id, now)


def restore(tx: Tx, run: Run, failure: Failure, now: datetime) -> None:
    """Move the instance out of the state in which the failed run held it, and say why if it is no tenant's doing.

    A tenant's mistake is no fault of the instance; unless it leaves the instance broken: then he must read why. Nor
    is the failure of what was to be made of it, a backup say: that is told there.
    """
    move = OPERATIONS[run.operation].move
    if run.instance_id is None or move is None or move.during is None:
        return
    after = move.error or _previous_state(tx, run) or InstanceState.ERROR
    moved = instances.move(tx, run.instance_id, {move.during}, after, now)
    is_its_fault = failure.fault is Fault.SYSTEM and _is_about_the_instance(run)
    if moved and (is_its_fault or after == InstanceState.ERROR):
        instances.set_fault(tx, run.instance_id, failure.code, failure.message, now)


def leave_as(tx: Tx, instance_id: str, state: InstanceState, now: datetime) -> bool:
    """Move an instance that serves between the states in which it can be used; False if it does not serve.

    One that a run holds while it goes on serving, for a backup, gets there when that run ends, however it does.
    """

    def at_once() -> bool:
        return instances.move(tx, instance_id, USABLE, state, now)

    # Twice, because the run may end between the two questions.
    return at_once() or runs.set_previous_state(tx, instance_id, _SERVING_ON, state) or at_once()


def _previous_state(tx: Tx, run: Run) -> str | None:
    """Return the state to which the run leads back, as it is now that the run has ended: nobody changes it any more."""
    ended = runs.get(tx, run.run_id)
    return None if ended is None else ended.previous_state


def _is_about_the_instance(run: Run) -> bool:
    return OPERATIONS[run.operation].subject == "instance"


def _refusal(operation: Operation, instance_id: str, state: InstanceState) -> WrongState:
    assert operation.move is not None
    allowed = ", ".join(sorted(operation.move.allowed))
    return WrongState(id=instance_id, state=state, operation=operation.name, allowed=allowed)
