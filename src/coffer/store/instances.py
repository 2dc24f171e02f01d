"""Instances: what tenants pay for. Rows stay after the deletion, for the bill."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.store.database import Tx
from coffer.store.tables import INSTANCES


@dataclass(frozen=True, slots=True)
class Instance:
    """A row.

    `host` and `port` are where tenants connect to; `service_*` is what the guest last said, `volume_used_bytes`
    what it last found on the volume; `wanted_*` is the size that a resize under way is to reach, which the quota
    counts already.
    """

    id: str
    project_id: str
    user_id: str | None
    name: str
    datastore: str
    datastore_version: str
    flavor_id: str
    flavor_name: str
    ram_mib: int
    volume_gib: int | None
    region: str | None
    created_at: datetime
    updated_at: datetime
    availability_zone: str | None = None
    state: InstanceState = InstanceState.BUILD
    service_status: ServiceStatus = ServiceStatus.NEW
    service_seen_at: datetime | None = None
    fault_code: str | None = None
    fault_message: str | None = None
    fault_at: datetime | None = None
    host: str | None = None
    port: int | None = None
    server_id: str | None = None
    volume_id: str | None = None
    cluster_id: str | None = None
    replica_of: str | None = None
    configuration_id: str | None = None
    wanted_ram_mib: int | None = None
    wanted_volume_gib: int | None = None
    volume_used_bytes: int | None = None
    root_enabled_at: datetime | None = None
    launched_at: datetime | None = None
    deleted_at: datetime | None = None


_FIELDS = tuple(field.name for field in fields(Instance))
_STATE, _SERVICE_STATUS = _FIELDS.index("state"), _FIELDS.index("service_status")
_COLUMN = INSTANCES.c
_ALL = sa.select(*(_COLUMN[name] for name in _FIELDS))


def insert(tx: Tx, instance: Instance) -> None:
    """Add `instance`."""
    tx.execute(sa.insert(INSTANCES).inline(), {name: getattr(instance, name) for name in _FIELDS})


def get(tx: Tx, instance_id: str) -> Instance | None:
    """Return the instance, also if it is deleted or anybody's."""
    return _one(tx, _COLUMN.id == instance_id)


def find(tx: Tx, project_id: str, instance_id: str) -> Instance | None:
    """Return the project's instance unless it is deleted."""
    return _one(tx, _COLUMN.id == instance_id, _COLUMN.project_id == project_id, _COLUMN.deleted_at.is_(None))


def page(
    tx: Tx, project_id: str, limit: int, marker: str | None = None, *, include_clustered: bool = True
) -> list[Instance]:
    """Return at most `limit` of the project's instances that are not deleted, the newest first.

    `marker` is the id of the last instance of the page before; it may have been deleted since. After a
    marker that was never an instance of the project comes nothing.
    """
    query = _ALL.where(_COLUMN.project_id == project_id, _COLUMN.deleted_at.is_(None))
    if not include_clustered:
        query = query.where(_COLUMN.cluster_id.is_(None))
    if marker is not None:
        last = _one(tx, _COLUMN.id == marker, _COLUMN.project_id == project_id)
        if last is None:
            return []
        query = query.where(_is_older_than(last))
    query = query.order_by(_COLUMN.created_at.desc(), _COLUMN.id.desc()).limit(limit)
    return [_instance(row) for row in tx.execute(query)]


def page_of_all(
    tx: Tx,
    limit: int,
    marker: str | None = None,
    *,
    project_id: str | None = None,
    is_deleted: bool | None = False,
    include_clustered: bool = True,
) -> list[Instance]:
    """Return at most `limit` instances of everybody, or of one project, the newest first.

    `is_deleted` None means: whether deleted or not. `marker` is the id of the last instance of the page before.
    """
    conditions: list[sa.ColumnElement[bool]] = []
    if project_id is not None:
        conditions.append(_COLUMN.project_id == project_id)
    if is_deleted is not None:
        conditions.append(_COLUMN.deleted_at.is_not(None) if is_deleted else _COLUMN.deleted_at.is_(None))
    if not include_clustered:
        conditions.append(_COLUMN.cluster_id.is_(None))
    if marker is not None:
        last = _one(tx, _COLUMN.id == marker)
        if last is None:
            return []
        conditions.append(_is_older_than(last))
    query = _ALL.where(*conditions)
    query = query.order_by(_COLUMN.created_at.desc(), _COLUMN.id.desc()).limit(limit)
    return [_instance(row) for row in tx.execute(query)]


def live(tx: Tx) -> list[str]:
    """Return the ids of all instances that are not deleted, whoever's they are."""
    return list(tx.scalars(sa.select(_COLUMN.id).where(_COLUMN.deleted_at.is_(None)).order_by(_COLUMN.id)))


def never_launched(tx: Tx) -> list[Instance]:
    """Return the instances, anybody's, that failed before they were launched and still have a server."""
    query = _ALL.where(
        _COLUMN.launched_at.is_(None),
        _COLUMN.deleted_at.is_(None),
        _COLUMN.state == InstanceState.ERROR,
        _COLUMN.server_id.is_not(None),
    )
    return [_instance(row) for row in tx.execute(query.order_by(_COLUMN.id))]


def between(
    tx: Tx, begin: datetime, end: datetime, *, limit: int, after: str | None = None
) -> list[Instance]:
    """Return at most `limit` launched instances, anybody's, that lived between two moments, deleted ones included.

    In the order of their ids, from the first one behind `after`.
    """
    query = _ALL.where(
        _COLUMN.launched_at.is_not(None),
        _COLUMN.created_at < end,
        sa.or_(_COLUMN.deleted_at.is_(None), _COLUMN.deleted_at >= begin),
    )
    if after is not None:
        query = query.where(_COLUMN.id > after)
    return [_instance(row) for row in tx.execute(query.order_by(_COLUMN.id).limit(limit))]


def move(tx: Tx, instance_id: str, allowed: Collection[str] | None, to: str, now: datetime) -> bool:
    """Move the instance to the state `to` if it is in one of `allowed` (None: in any, unless it is deleted).

    Of several that try at once, one gets True. A move to DELETED also sets `deleted_at`. Every move forgets the
    size that was wanted: who moves to RESIZE says it afterwards, and however that ends, nothing stays reserved.
    """
    statement = sa.update(INSTANCES).where(_COLUMN.id == instance_id, _COLUMN.deleted_at.is_(None))
    if allowed is not None:
        statement = statement.where(_COLUMN.state.in_(list(allowed)))
    values: dict[str, object] = {
        "state": to,
        "updated_at": now,
        "wanted_ram_mib": None,
        "wanted_volume_gib": None,
    }
    if to == InstanceState.DELETED:
        values["deleted_at"] = now
    return tx.execute(statement.values(values)).rowcount == 1


def update(tx: Tx, instance_id: str, now: datetime, **columns: object) -> bool:
    """Set columns by name; False if there is no such instance.

    Where somebody else could move the state at the same time, `move` it instead.
    """
    statement = sa.update(INSTANCES).where(_COLUMN.id == instance_id)
    return tx.execute(statement.values({**columns, "updated_at": now})).rowcount == 1


def heartbeat(
    tx: Tx,
    instance_id: str,
    status: str,
    seen_at: datetime,
    *,
    volume_used_bytes: int | None = None,
    is_latest: bool = False,
) -> bool:
    """Keep what the guest said at `seen_at`; False if it is old news, or the instance is gone.

    With `is_latest` the caller knows that it is none, whatever the clocks say. What the guest does not say of its
    volume this time stays as it was.
    """
    statement = sa.update(INSTANCES).where(_COLUMN.id == instance_id, _COLUMN.deleted_at.is_(None))
    if not is_latest:
        is_newer = sa.or_(_COLUMN.service_seen_at.is_(None), _COLUMN.service_seen_at < seen_at)
        statement = statement.where(is_newer)
    values: dict[str, object] = {"service_status": status, "service_seen_at": seen_at}
    if volume_used_bytes is not None:
        values["volume_used_bytes"] = volume_used_bytes
    return tx.execute(statement.values(values)).rowcount == 1


def set_fault(tx: Tx, instance_id: str, code: str, message: str, now: datetime) -> bool:
    """Say what is wrong with the instance, in words for its tenant."""
    return update(tx, instance_id, now, fault_code=code, fault_message=message, fault_at=now)


def clear_fault(tx: Tx, instance_id: str, now: datetime) -> bool:
    """Forget what was wrong; False if nothing was."""
    statement = sa.update(INSTANCES).where(_COLUMN.id == instance_id, _COLUMN.fault_code.is_not(None))
    cleared = {"fault_code": None, "fault_message": None, "fault_at": None, "updated_at": now}
    return tx.execute(statement.values(cleared)).rowcount == 1


def _is_older_than(last: Instance) -> sa.ColumnElement[bool]:
    """The condition of a page that follows one that ended with `last`."""
    return sa.or_(
        _COLUMN.created_at < last.created_at,
        sa.and_(_COLUMN.created_at == last.created_at, _COLUMN.id < last.id),
    )


def _one(tx: Tx, *conditions: sa.ColumnElement[bool]) -> Instance | None:
    row = tx.execute(_ALL.where(*conditions)).one_or_none()
    return None if row is None else _instance(row)


def _instance(row: Sequence[Any]) -> Instance:
    """Return the instance of a row of `_ALL`."""
    values = list(row)
    values[_STATE] = InstanceState(values[_STATE])
    values[_SERVICE_STATUS] = ServiceStatus(values[_SERVICE_STATUS])
    return Instance(*values)
