"""How much of each resource a project uses, and how much it may use.

What is used is counted from what there is, each time: a number kept beside it could go astray, this one cannot.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import IntegrityError

from coffer.catalogue.resources import Resource
from coffer.catalogue.states import UNFINISHED, InstanceState
from coffer.store.database import Tx
from coffer.store.deferred import savepoint
from coffer.store.tables import BACKUPS, INSTANCES, QUOTA_LIMITS, QUOTA_PROJECTS

_INSTANCE = INSTANCES.c
_BACKUP = BACKUPS.c


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of a resource there is (`in_use`) and how much is being made (`reserved`)."""

    in_use: int
    reserved: int


def take_turn(tx: Tx, project_id: str, now: datetime) -> None:
    """Let nobody else allocate for the project until the transaction is over, and wait for whoever does now.

    What is read afterwards is what the others left, as long as a statement sees what was committed before it
    (READ COMMITTED; SQLite has one writer anyway).
    """
    _put(tx, QUOTA_PROJECTS, {"project_id": project_id}, {"touched_at": now})


def usage(tx: Tx, project_id: str) -> dict[Resource, Usage]:
    """Return how much the project uses, from the rows of what it has.

    An instance that is being built is reserved. One that is being resized is in use with its present size, and
    what it is to get beyond that is reserved.
    """
    return usages(tx, [project_id])[project_id]


def usages(tx: Tx, project_ids: Collection[str]) -> dict[str, dict[Resource, Usage]]:
    """Return the `usage` of each of these projects."""
    sums: dict[str, dict[str, int]] = {project_id: {} for project_id in project_ids}
    for query in (_instances(project_ids), _backups(project_ids)):
        for row in tx.execute(query).mappings():
            sums[row["project_id"]].update({name: int(row[name]) for name in row if name != "project_id"})
    return {
        project_id: {
            resource: Usage(found.get(f"{resource}_in_use", 0), found.get(f"{resource}_reserved", 0))
            for resource in Resource
        }
        for project_id, found in sums.items()
    }


def limits(tx: Tx, project_id: str) -> dict[Resource, int]:
    """Return the limits that somebody has set for the project; the others are the operator's defaults."""
    return limits_of(tx, [project_id])[project_id]


def limits_of(tx: Tx, project_ids: Collection[str]) -> dict[str, dict[Resource, int]]:
    """Return the `limits` of each of these projects."""
    column = QUOTA_LIMITS.c
    query = sa.select(column.project_id, column.resource, column.limit).where(
        column.project_id.in_(project_ids)
    )
    known = {str(resource) for resource in Resource}
    found: dict[str, dict[Resource, int]] = {project_id: {} for project_id in project_ids}
    for project_id, name, limit in tx.execute(query):
        if name in known:
            found[project_id][Resource(name)] = limit
    return found


def set_limits(tx: Tx, project_id: str, wanted: Mapping[Resource, int], now: datetime) -> None:
    """Set limits of the project."""
    for resource, limit in wanted.items():
        keys = {"project_id": project_id, "resource": str(resource)}
        _put(tx, QUOTA_LIMITS, keys, {"limit": limit, "updated_at": now})


def changed_at(tx: Tx, project_ids: Collection[str]) -> dict[str, datetime]:
    """Return when each of these projects last allocated or gave back something; without those that never did."""
    found: dict[str, datetime] = {}
    for columns in (
        (QUOTA_PROJECTS.c.touched_at,),
        (_INSTANCE.created_at, _INSTANCE.deleted_at),
        (_BACKUP.created_at, _BACKUP.deleted_at),
    ):
        project_id = columns[0].table.c.project_id
        newest = sa.select(project_id, *(sa.func.max(column) for column in columns))
        for row in tx.execute(newest.where(project_id.in_(project_ids)).group_by(project_id)):
            known = [found.get(row[0]), *row[1:]]
            found[row[0]] = max(moment for moment in known if moment is not None)
    return found


def projects(tx: Tx, *, limit: int, after: str | None = None) -> list[str]:
    """Return projects that have or ever allocated anything, or for which a limit was set.

    At most `limit`, in order, from the first one behind `after`.
    """
    pages = []
    for table in (INSTANCES, BACKUPS, QUOTA_PROJECTS, QUOTA_LIMITS):
        page = sa.select(table.c.project_id).distinct().order_by(table.c.project_id).limit(limit)
        if after is not None:
            page = page.where(table.c.project_id > after)
        # A page of each: so the database reads that much of their indexes, and not all of the tables.
        pages.append(sa.select(page.subquery().c.project_id))
    return list(tx.scalars(sa.union(*pages).order_by("project_id").limit(limit)))


def _instances(project_ids: Collection[str]) -> sa.Select[Any]:
    size = {
        Resource.INSTANCES: sa.literal(1),
        Resource.RAM: _INSTANCE.ram_mib,
        Resource.VOLUMES: sa.func.coalesce(_INSTANCE.volume_gib, 0),
    }
    growth = {
        Resource.RAM: _growth(_INSTANCE.wanted_ram_mib, _INSTANCE.ram_mib),
        Resource.VOLUMES: _growth(_INSTANCE.wanted_volume_gib, sa.func.coalesce(_INSTANCE.volume_gib, 0)),
    }
    is_building = _INSTANCE.state == InstanceState.BUILD
    is_resizing = _INSTANCE.state == InstanceState.RESIZE
    columns = []
    for resource, amount in size.items():
        reserved = sa.case((is_building, amount), (is_resizing, growth.get(resource, sa.literal(0))), else_=0)
        columns.append(_sum(sa.case((is_building, 0), else_=amount)).label(f"{resource}_in_use"))
        columns.append(_sum(reserved).label(f"{resource}_reserved"))
    query = sa.select(_INSTANCE.project_id, *columns).group_by(_INSTANCE.project_id)
    return query.where(_INSTANCE.project_id.in_(project_ids), _INSTANCE.deleted_at.is_(None))


def _backups(project_ids: Collection[str]) -> sa.Select[Any]:
    is_unfinished = _BACKUP.state.in_(sorted(UNFINISHED))
    columns = [
        _sum(sa.case((is_unfinished, 0), else_=1)).label(f"{Resource.BACKUPS}_in_use"),
        _sum(sa.case((is_unfinished, 1), else_=0)).label(f"{Resource.BACKUPS}_reserved"),
    ]
    query = sa.select(_BACKUP.project_id, *columns).group_by(_BACKUP.project_id)
    return query.where(_BACKUP.project_id.in_(project_ids), _BACKUP.deleted_at.is_(None))


def _growth(wanted: sa.ColumnElement[int], present: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.case((wanted > present, wanted - present), else_=0)


def _sum(amount: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(amount), 0)


def _put(tx: Tx, table: sa.Table, keys: Mapping[str, object], values: Mapping[str, object]) -> None:
    """Write a row, whether it is there or not, in words that every database understands.

    But for MariaDB: whoever waited for another's new row shares a lock of it with all who did, and so they would be in
    each other's way; told what it is for, the lock is its holder's alone.
    """
    if tx.dialect.name == "mysql":
        tx.execute(mysql.insert(table).values(**keys, **values).on_duplicate_key_update(**values))
        return
    update = sa.update(table).where(*(table.c[name] == value for name, value in keys.items()))
    if tx.execute(update.values(**values)).rowcount == 1:
        return
    try:
        with savepoint(tx):
            tx.execute(sa.insert(table).inline(), {**keys, **values})
    except IntegrityError:  # another was first, and has committed by now
        tx.execute(update.values(**values))
