"""Backups: copies of an instance's data. They outlive the instance; rows stay after the deletion."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import RowMapping

from coffer.catalogue.states import BackupState
from coffer.store.database import Tx
from coffer.store.tables import BACKUPS


@dataclass(frozen=True, slots=True)
class Backup:
    """A row.

    `volume_gib` is the size of the volume that it was made of, `location` the name of its archive in the object
    store, `size_bytes` and `checksum` (SHA-256, hexadecimal) are the archive's. With a `parent_id` it holds only
    what has changed since that backup.
    """

    id: str
    project_id: str
    instance_id: str
    name: str
    datastore: str
    datastore_version: str
    created_at: datetime
    updated_at: datetime
    description: str | None = None
    parent_id: str | None = None
    volume_gib: int | None = None
    state: BackupState = BackupState.NEW
    location: str | None = None
    size_bytes: int | None = None
    checksum: str | None = None
    fault_message: str | None = None
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Filters:
    """Which backups are asked for; None: whatever they have there."""

    project_id: str | None = None
    instance_id: str | None = None
    datastore: str | None = None


_FIELDS = tuple(field.name for field in fields(Backup))
_COLUMN = BACKUPS.c
_IS_KEPT = _COLUMN.deleted_at.is_(None)


def insert(tx: Tx, backup: Backup) -> None:
    """Add `backup`."""
    tx.execute(sa.insert(BACKUPS).inline(), {name: getattr(backup, name) for name in _FIELDS})


def get(tx: Tx, backup_id: str) -> Backup | None:
    """Return the backup, also if it is deleted or anybody's."""
    return _one(tx, _COLUMN.id == backup_id)


def find(tx: Tx, project_id: str, backup_id: str) -> Backup | None:
    """Return the project's backup unless it is deleted."""
    return _one(tx, _COLUMN.id == backup_id, _COLUMN.project_id == project_id, _IS_KEPT)


def page(tx: Tx, filters: Filters, *, limit: int, offset: int) -> list[Backup]:
    """Return at most `limit` backups that are not deleted, behind the first `offset`; last changed first."""
    wanted = {field.name: getattr(filters, field.name) for field in fields(Filters)}
    conditions = [_COLUMN[name] == value for name, value in wanted.items() if value is not None]
    query = sa.select(BACKUPS).where(_IS_KEPT, *conditions)
    query = query.order_by(_COLUMN.updated_at.desc(), _COLUMN.id).limit(limit).offset(offset)
    return [_backup(row) for row in tx.execute(query).mappings()]


def newest_completed(tx: Tx, instance_id: str, datastore_version: str) -> Backup | None:
    """Return the backup of an instance that was begun last, of those that are complete and of a version."""
    query = sa.select(BACKUPS).where(
        _IS_KEPT,
        _COLUMN.instance_id == instance_id,
        _COLUMN.datastore_version == datastore_version,
        _COLUMN.state == BackupState.COMPLETED,
    )
    row = tx.execute(query.order_by(_COLUMN.created_at.desc(), _COLUMN.id).limit(1)).mappings().one_or_none()
    return None if row is None else _backup(row)


def chain(tx: Tx, backup_id: str) -> list[Backup]:
    """Return a backup with all that it builds on, the full one first; deleted ones, too."""
    found: list[Backup] = []
    wanted: str | None = backup_id
    while wanted is not None:
        backup = get(tx, wanted)
        if backup is None or backup in found:
            break
        found.insert(0, backup)
        wanted = backup.parent_id
    return found


def family(tx: Tx, backup_id: str) -> list[Backup]:
    """Return a backup and all that build on it, each behind its parent; without those that are deleted."""
    found = [backup for backup in [get(tx, backup_id)] if backup is not None and backup.deleted_at is None]
    generation = [backup_id]
    while generation:
        query = sa.select(BACKUPS).where(_IS_KEPT, _COLUMN.parent_id.in_(generation)).order_by(_COLUMN.id)
        children = [_backup(row) for row in tx.execute(query).mappings()]
        found += children
        generation = [child.id for child in children]
    return found


def move(tx: Tx, backup_id: str, allowed: Collection[str], to: str, now: datetime, **columns: object) -> bool:
    """Move the backup to the state `to` if it is in one of `allowed`, and set `columns` with it.

    Of several that try at once, one gets True.
    """
    statement = sa.update(BACKUPS).where(
        _COLUMN.id == backup_id, _IS_KEPT, _COLUMN.state.in_([str(state) for state in allowed])
    )
    return tx.execute(statement.values({**columns, "state": str(to), "updated_at": now})).rowcount == 1


def delete(tx: Tx, backup_id: str, now: datetime) -> bool:
    """Say that nothing of the backup is left; False if that was said before."""
    statement = sa.update(BACKUPS).where(_COLUMN.id == backup_id, _IS_KEPT)
    return tx.execute(statement.values(deleted_at=now, updated_at=now)).rowcount == 1


def _one(tx: Tx, *conditions: sa.ColumnElement[bool]) -> Backup | None:
    row = tx.execute(sa.select(BACKUPS).where(*conditions)).mappings().one_or_none()
    return None if row is None else _backup(row)


def _backup(row: RowMapping) -> Backup:
    return Backup(**{**row, "state": BackupState(row["state"])})
