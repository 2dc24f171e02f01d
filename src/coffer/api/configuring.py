"""Attaches instances to configuration groups, and detaches them.

The guest is told first, and the row follows in the transaction that ends the run; unless somebody changed the group or
the instance meanwhile: then the guest is told again. While it is told, the instance shows RESTART_REQUIRED. It stays so
where nobody knows whether the guest has heard: a restart gives the server what the row says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from coffer.api.call import ACCEPTED, Answer, Call
from coffer.api.configurations import found
from coffer.api.settling import Also, Settling, begin
from coffer.api.spreading import Overtaken, correct, tell_one
from coffer.catalogue.errors import BadRequest, CofferError, GuestUnreachable, NotFound, WrongState
from coffer.catalogue.states import USABLE, InstanceState
from coffer.datastores.parameters import as_texts
from coffer.lifecycle.runs import Beginning, Ending
from coffer.store import configurations, instances, replication
from coffer.store.configurations import Configuration
from coffer.store.database import Tx
from coffer.store.instances import Instance

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class _Move:
    """An instance's way from one group (None: from none) to another."""

    operation: str
    instance_id: str
    before: str | None
    after: str | None


def attach(call: Call, instance: Instance, configuration_id: str, also: Also) -> Answer:
    """Let an instance run with the parameters of a group."""
    group = found(call, configuration_id)
    move = _Move("instance_attach_configuration", instance.id, before=None, after=group.id)

    def check(now: Instance) -> None:
        if now.configuration_id is not None:
            raise BadRequest(
                reason=f"Instance {now.id} is attached to the configuration group {now.configuration_id}; "
                "detach it first."
            )
        require_fitting(group, now.datastore, now.datastore_version)

    return _carry_out(call, instance, move, check, also, traits={"configuration_id": group.id})


def detach(call: Call, instance: Instance, also: Also) -> Answer:
    """Let an instance run with its datastore's own parameters again; one that does so already just goes on."""
    move = _Move("instance_detach_configuration", instance.id, before=instance.configuration_id, after=None)
    return _carry_out(call, instance, move, lambda _: None, also, traits={})


def require_fitting(group: Configuration, datastore: str, version: str) -> None:
    """Refuse a group for an instance of another version: other parameters.

    Raises:
        BadRequest: naming both.
    """
    if (group.datastore, group.datastore_version) != (datastore, version):
        raise BadRequest(
            reason=f"The configuration group {group.id} is for {group.datastore} {group.datastore_version}, "
            f"and the instance has {datastore} {version}."
        )


def _carry_out(
    call: Call,
    instance: Instance,
    move: _Move,
    check: Callable[[Instance], None],
    also: Also,
    *,
    traits: dict[str, str],
) -> Answer:
    before: list[tuple[InstanceState, datetime]] = []

    def change(begun: Beginning) -> None:
        now = begun.run.started_at
        row = instances.get(begun.tx, instance.id)
        assert row is not None, "an operation is allowed in states of living instances only"
        check(row)
        before.append((row.state, now))
        also(begun.tx, now)
        if move.before != move.after:
            instances.move(begun.tx, row.id, USABLE, InstanceState.RESTART_REQUIRED, now)

    with begin(call, move.operation, instance, [traits], change=change) as settling:
        if move.before == move.after:
            settling.end(settling.context)
            return ACCEPTED
        try:
            _bring(call, settling, move)
        except CofferError as error:
            if not isinstance(error, GuestUnreachable):
                _unmark(call, instance.id, *before[0])
            raise
    return ACCEPTED


def _bring(call: Call, settling: Settling, move: _Move) -> None:
    """Tell the guest, change the row, end the run; again if somebody came between."""
    for _ in range(_ATTEMPTS):
        try:
            _bring_once(call, settling, move)
        except Overtaken:
            continue
        return
    with call.services.database.reading() as tx:
        row = instances.get(tx, move.instance_id)
    raise _busy(move, row)


def _bring_once(call: Call, settling: Settling, move: _Move) -> None:
    with call.services.database.reading() as tx:
        seen = _usable(tx, move)
        group = None if move.after is None else configurations.find(tx, call.project_id, move.after)
    if move.after is not None and group is None:
        raise NotFound(resource="Configuration", id=move.after)
    told = tell_one(call, move.instance_id, as_texts(group.values) if group else {})
    if told.error is not None:
        raise told.error

    def finish(ending: Ending) -> None:
        _finish(ending.tx, move, seen=seen, group=group, now=ending.now)
        after = InstanceState.RESTART_REQUIRED if told.restart_required else InstanceState.ACTIVE
        instances.move(ending.tx, move.instance_id, USABLE, after, ending.now)

    try:
        settling.end(settling.context, finish)
    except CofferError:
        correct(call, move.instance_id)
        raise


def _finish(tx: Tx, move: _Move, *, seen: Instance, group: Configuration | None, now: datetime) -> None:
    """Change the row.

    Raises:
        Overtaken: if the guest was told what is not so any more.
        NotFound: if the group was deleted meanwhile.
        WrongState: if another operation has taken the instance.
        BadRequest: if it was attached to another group meanwhile.
    """
    locked = {each: configurations.lock(tx, each) for each in (move.before, move.after) if each is not None}
    if move.after is not None and locked[move.after] is None:
        raise NotFound(resource="Configuration", id=move.after)
    if group is not None and locked[group.id] != group:
        raise Overtaken
    row = _usable(tx, move)
    if row.configuration_id != move.before:
        raise BadRequest(
            reason=f"Another call has changed the configuration group of instance {row.id} meanwhile."
        )
    if row.updated_at != seen.updated_at:
        raise Overtaken
    configurations.attach(tx, row.id, move.before, move.after, now)


def _usable(tx: Tx, move: _Move) -> Instance:
    row = instances.get(tx, move.instance_id)
    if row is None or row.state not in USABLE:
        raise _busy(move, row)
    return row


def _unmark(call: Call, instance_id: str, state: InstanceState, marked_at: datetime) -> None:
    """Show the state before the call again: its guest has refused, and nothing has changed.

    Unless somebody has changed the instance since: perhaps it is he who waits for a restart.
    """
    with call.services.database.writing() as tx:
        row = replication.lock(tx, instance_id)
        if row is not None and row.updated_at == marked_at:
            now = call.services.lifecycle.clock()
            instances.move(tx, instance_id, {InstanceState.RESTART_REQUIRED}, state, now)


def _busy(move: _Move, row: Instance | None) -> WrongState:
    state = row.state if row else InstanceState.DELETED
    allowed = ", ".join(sorted(USABLE))
    return WrongState(id=move.instance_id, state=state, operation=move.operation, allowed=allowed)
