"""Configuration groups: parameters by name, for the instances that are attached to them."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime

import sqlalchemy as sa

from coffer.store.database import Tx
from coffer.store.tables import CONFIGURATIONS, INSTANCES

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Configuration:
    """A row. `parameters` is the JSON text of an object; `updated_at` changes with every change of it."""

    id: str
    project_id: str
    name: str
    description: str | None
    datastore: str
    datastore_version: str
    parameters: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None

    @property
    def values(self) -> dict[str, Value]:
        """The parameters."""
        found: dict[str, Value] = json.loads(self.parameters)
        return found


_FIELDS = tuple(field.name for field in fields(Configuration))
_COLUMN = CONFIGURATIONS.c
_IS_THERE = _COLUMN.deleted_at.is_(None)


def text_of(values: Mapping[str, Value]) -> str:
    """Return parameters as they are stored."""
    return json.dumps(dict(values))


def insert(tx: Tx, configuration: Configuration) -> None:
    """Add `configuration`."""
    row = {name: getattr(configuration, name) for name in _FIELDS}
    tx.execute(sa.insert(CONFIGURATIONS).inline(), row)


def find(tx: Tx, project_id: str, configuration_id: str) -> Configuration | None:
    """Return the project's group unless it is deleted."""
    return _one(tx, _COLUMN.id == configuration_id, _COLUMN.project_id == project_id, _IS_THERE)


def lock(tx: Tx, configuration_id: str) -> Configuration | None:
    """Return the group unless it is deleted; until this transaction ends nobody changes, deletes or attaches it.

    Whoever changes what an instance is attached to locks the group first; so whoever changes the group finds all.
    """
    # A write that changes nothing: it locks the row in PostgreSQL, as every write locks all of SQLite.
    locked = sa.update(CONFIGURATIONS).where(_COLUMN.id == configuration_id, _IS_THERE)
    if tx.execute(locked.values(name=_COLUMN.name)).rowcount != 1:
        return None
    return _one(tx, _COLUMN.id == configuration_id)


def page(tx: Tx, project_id: str, limit: int, marker: str | None = None) -> list[Configuration]:
    """Return at most `limit` of the project's groups, the newest first, after the group whose id is `marker`."""
    query = sa.select(CONFIGURATIONS).where(_COLUMN.project_id == project_id, _IS_THERE)
    if marker is not None:
        last = _one(tx, _COLUMN.id == marker, _COLUMN.project_id == project_id)
        if last is None:
            return []
        query = query.where(
            sa.or_(
                _COLUMN.created_at < last.created_at,
                sa.and_(_COLUMN.created_at == last.created_at, _COLUMN.id < last.id),
            )
        )
    query = query.order_by(_COLUMN.created_at.desc(), _COLUMN.id.desc()).limit(limit)
    return [Configuration(**row) for row in tx.execute(query).mappings()]


def update(tx: Tx, configuration_id: str, now: datetime, values: Mapping[str, Value], **columns: str) -> bool:
    """Set the parameters, and columns by name; False if there is no such group."""
    statement = sa.update(CONFIGURATIONS).where(_COLUMN.id == configuration_id, _IS_THERE)
    changes = {**columns, "parameters": text_of(values), "updated_at": now}
    return tx.execute(statement.values(changes)).rowcount == 1


def delete(tx: Tx, configuration_id: str, now: datetime) -> bool:
    """Mark the group as deleted; False if it was, or never was."""
    statement = sa.update(CONFIGURATIONS).where(_COLUMN.id == configuration_id, _IS_THERE)
    return tx.execute(statement.values(deleted_at=now, updated_at=now)).rowcount == 1


def attach(tx: Tx, instance_id: str, before: str | None, after: str | None, now: datetime) -> bool:
    """Attach an instance to the group `after` (None: to none), if it is attached to `before`."""
    column = INSTANCES.c.configuration_id
    statement = sa.update(INSTANCES).where(
        INSTANCES.c.id == instance_id,
        INSTANCES.c.deleted_at.is_(None),
        column.is_(None) if before is None else column == before,
    )
    return tx.execute(statement.values(configuration_id=after, updated_at=now)).rowcount == 1


def attached(
    tx: Tx, configuration_id: str, *, limit: int | None = None, marker: str | None = None
) -> list[tuple[str, str]]:
    """Return id and name of the instances that are attached to a group, by id, those after `marker`."""
    column = INSTANCES.c
    query = sa.select(column.id, column.name).where(
        column.configuration_id == configuration_id, column.deleted_at.is_(None)
    )
    if marker is not None:
        query = query.where(column.id > marker)
    rows = tx.execute(query.order_by(column.id).limit(limit))
    return [(row.id, row.name) for row in rows]


def names(tx: Tx, configuration_ids: Collection[str]) -> dict[str, str]:
    """Return the names of groups by their ids."""
    query = sa.select(_COLUMN.id, _COLUMN.name).where(_COLUMN.id.in_(list(configuration_ids)))
    return {row.id: row.name for row in tx.execute(query)}


def wanted(tx: Tx, instance_id: str) -> dict[str, Value]:
    """Return the parameters that an instance should run with, from the group that it is attached to now."""
    query = (
        sa.select(_COLUMN.parameters)
        .join(INSTANCES, INSTANCES.c.configuration_id == _COLUMN.id)
        .where(INSTANCES.c.id == instance_id, _IS_THERE)
    )
    text = tx.execute(query).scalar_one_or_none()
    found: dict[str, Value] = {} if text is None else json.loads(text)
    return found


def _one(tx: Tx, *conditions: sa.ColumnElement[bool]) -> Configuration | None:
    row = tx.execute(sa.select(CONFIGURATIONS).where(*conditions)).mappings().one_or_none()
    return None if row is None else Configuration(**row)
