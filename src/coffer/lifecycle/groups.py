"""How the run of one instance holds its whole replication group, and lets go of it, however the run ends.

A promotion or an ejection is a run about one instance, and nobody may touch the others meanwhile: they are moved to
the same state, by compare-and-set, in the transaction that begins the run, and back in the one that ends it.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from coffer.catalogue.errors import NoReplicas, NotReplica, WrongState
from coffer.catalogue.operations import Operation
from coffer.catalogue.states import InstanceState
from coffer.store import instances, replication, runs
from coffer.store.database import Tx
from coffer.store.instances import Instance
from coffer.store.replication import Group
from coffer.store.runs import Run

HOLDING: Mapping[str, InstanceState] = MappingProxyType(
    {"instance_promote": InstanceState.PROMOTE, "instance_eject": InstanceState.EJECT}
)
"""The operations that hold a whole group, and the state in which they do: that of their own `move`."""


def take_turn(tx: Tx, operation: Operation, instance_id: str) -> None:
    """Wait until nobody else begins something with the group; before anything of it is moved.

    The source's row is locked first by everybody, so that two who begin at once do not wait for each other.
    """
    if operation.name in HOLDING:
        row = instances.get(tx, instance_id)
        if row is not None:
            replication.lock(tx, row.replica_of or row.id)


def hold_for_promotion(tx: Tx, replica_id: str, now: datetime) -> None:
    """Move everybody else of a replica's group, too; all must be able to take part.

    Raises:
        NotReplica: it has no source.
        WrongState: naming the one that cannot.
    """
    group = _group(tx, replica_id)
    if group.source.id == replica_id:
        raise NotReplica(id=replica_id)
    for member in group.members:
        if member.id != replica_id:
            _hold(tx, "instance_promote", member, now)


def hold_for_ejection(tx: Tx, source_id: str, now: datetime) -> None:
    """Move the replicas of a source, too; at least one must be able to take its place.

    One that is broken or waits for a restart anyway does not keep the others from going on.

    Raises:
        NoReplicas: it has none.
        WrongState: naming one that is busy, or that cannot take the place and no other can.
    """
    group = _group(tx, source_id)
    replicas = group.replicas if group.source.id == source_id else ()
    if not replicas:
        raise NoReplicas(id=source_id)
    left_alone = [each for each in replicas if is_left_alone(each)]
    taken = [each for each in replicas if each not in left_alone]
    for member in taken or left_alone[:1]:
        _hold(tx, "instance_eject", member, now)


def is_left_alone(replica: Instance) -> bool:
    """True for a replica that an ejection takes along as it is: a restart will have it follow its new source."""
    return replica.launched_at is None or replica.state in {
        InstanceState.ERROR,
        InstanceState.RESTART_REQUIRED,
    }


def switch(tx: Tx, old_source_id: str, new_source_id: str, now: datetime) -> None:
    """Store who has become the source; the old one becomes its replica, for as long as the run lasts at least.

    A replica that is still being made has been promised to the old one, and stays with it.
    """
    old = instances.get(tx, old_source_id)
    assert old is not None, "rows of instances stay"
    for replica in replication.replicas_of(tx, old):
        if replica.launched_at is not None:
            replication.set_source(tx, replica.id, new_source_id, now)
    replication.set_source(tx, old_source_id, new_source_id, now)
    replication.set_source(tx, new_source_id, None, now)


def let_go(tx: Tx, run: Run, now: datetime) -> None:
    """Let everybody work again whom the run held; in the transaction that ends it, well or not.

    An ejected source stands alone from then on; unless nobody has taken its place.
    """
    assert run.instance_id is not None
    during = HOLDING[run.operation]
    group = _group(tx, run.instance_id)
    for member in group.members:
        if member.id != run.instance_id:
            instances.move(tx, member.id, {during}, InstanceState.ACTIVE, now)
    if run.operation == "instance_eject" and group.source.id != run.instance_id:
        replication.set_source(tx, run.instance_id, None, now)


def runs_holding(tx: Tx, instance_id: str) -> list[Run]:
    """Return the open runs of others that hold an instance, as a member of their group."""
    row = instances.get(tx, instance_id)
    if row is None or row.state not in HOLDING.values():
        return []
    others = [member.id for member in _group(tx, instance_id).members if member.id != instance_id]
    found = [run for other in others for run in runs.open_of_instance(tx, other)]
    return [run for run in found if HOLDING.get(run.operation) == row.state]


def _group(tx: Tx, instance_id: str) -> Group:
    group = replication.group_of(tx, instance_id)
    assert group is not None, "rows of instances stay, and a replica's source has one"
    return group


def _hold(tx: Tx, operation: str, member: Instance, now: datetime) -> None:
    allowed = {InstanceState.ACTIVE}
    if not instances.move(tx, member.id, allowed, HOLDING[operation], now):
        present = instances.get(tx, member.id)
        state = present.state if present else InstanceState.DELETED
        raise WrongState(id=member.id, state=state, operation=operation, allowed=", ".join(sorted(allowed)))
