"""Replication groups: a source and its replicas, which are instances of one project whose `replica_of` names it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from coffer.catalogue.states import USABLE, InstanceState, ServiceStatus
from coffer.store import instances
from coffer.store.database import Tx
from coffer.store.instances import Instance
from coffer.store.tables import INSTANCES

_COLUMN = INSTANCES.c


@dataclass(frozen=True, slots=True)
class Group:
    """A source and its replicas that are not deleted, the oldest first; without replicas it is just an instance."""

    source: Instance
    replicas: tuple[Instance, ...]

    @property
    def members(self) -> tuple[Instance, ...]:
        """Everybody, the source first."""
        return (self.source, *self.replicas)


def group_of(tx: Tx, instance_id: str) -> Group | None:
    """Return the group that an instance is the source or a replica of; None if it, or its source, never was."""
    row = instances.get(tx, instance_id)
    source = row if row is None or row.replica_of is None else instances.get(tx, row.replica_of)
    if source is None:
        return None
    return Group(source=source, replicas=tuple(replicas_of(tx, source)))


def replicas_of(tx: Tx, source: Instance) -> list[Instance]:
    """Return the replicas of an instance, whatever their state, unless they are deleted; the oldest first."""
    ids = replica_ids(tx, [source])[source.id]
    found = [instances.get(tx, replica_id) for replica_id in ids]
    return [row for row in found if row is not None]


def replica_ids(tx: Tx, sources: Collection[Instance]) -> dict[str, list[str]]:
    """Return the ids of the replicas of each of these instances, the oldest first."""
    found: dict[str, list[str]] = {source.id: [] for source in sources}
    if not found:
        return found
    # The projects are named because there is an index of them, and a group never leaves its project.
    query = sa.select(_COLUMN.id, _COLUMN.replica_of).where(
        _COLUMN.project_id.in_({source.project_id for source in sources}),
        _COLUMN.replica_of.in_(list(found)),
        _COLUMN.deleted_at.is_(None),
    )
    for row in tx.execute(query.order_by(_COLUMN.created_at, _COLUMN.id)):
        found[row.replica_of].append(row.id)
    return found


def lock(tx: Tx, instance_id: str) -> Instance | None:
    """Return the instance unless it is deleted; until this transaction ends nobody changes its row.

    Whoever adds to a group, or moves all of it, locks its source first: then one comes after the other.
    """
    # A write that changes nothing: it locks the row in PostgreSQL, as every write locks all of SQLite.
    locked = sa.update(INSTANCES).where(_COLUMN.id == instance_id, _COLUMN.deleted_at.is_(None))
    if tx.execute(locked.values(name=_COLUMN.name)).rowcount != 1:
        return None
    return instances.get(tx, instance_id)


def set_source(tx: Tx, instance_id: str, source_id: str | None, now: datetime) -> bool:
    """Let an instance be a replica of another one, or (None) of none; False if it is deleted."""
    statement = sa.update(INSTANCES).where(_COLUMN.id == instance_id, _COLUMN.deleted_at.is_(None))
    return tx.execute(statement.values(replica_of=source_id, updated_at=now)).rowcount == 1


def standing(tx: Tx, seen_since: datetime) -> list[Instance]:
    """Return the instances, anybody's, that are no replicas, do nothing else, and serve as was said lately."""
    query = sa.select(_COLUMN.id).where(
        _COLUMN.replica_of.is_(None),
        _COLUMN.deleted_at.is_(None),
        _COLUMN.state.in_(list(USABLE)),
        _COLUMN.service_status == ServiceStatus.HEALTHY,
        _COLUMN.service_seen_at >= seen_since,
    )
    found = [instances.get(tx, instance_id) for instance_id in list(tx.scalars(query.order_by(_COLUMN.id)))]
    return [row for row in found if row is not None]


def abandoned(tx: Tx) -> list[Instance]:
    """Return the replicas whose creation failed; their sources may still keep for them what they will never read."""
    query = sa.select(_COLUMN.id).where(
        _COLUMN.replica_of.is_not(None),
        _COLUMN.launched_at.is_(None),
        _COLUMN.deleted_at.is_(None),
        _COLUMN.state == InstanceState.ERROR,
    )
    found = [instances.get(tx, instance_id) for instance_id in list(tx.scalars(query))]
    return [row for row in found if row is not None]
