"""What already runs survives `coffer db upgrade`: migrations only add, and what they add may be left out."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa  # noqa: TID251 - as another program sees the database
from alembic import command

from coffer.store import migrate
from coffer.store.database import Database, Tx
from coffer.store.migrate import Schema

RELEASED = ("announcing_0001", "control_0002")
"""The schema of version 0.1.0, with which its services go on working until they are replaced."""


def to(url: str, *revisions: str) -> None:
    """Bring a database to these revisions."""
    database = Database(url)
    with database.writing() as tx:
        for revision in revisions:
            command.upgrade(migrate._config(tx), revision)
    database.close()


def stamp(url: str, old: str, new: str) -> None:
    """Say that a database has another revision than it has."""
    database = Database(url)
    with database.writing() as tx:
        tx.execute(
            sa.text("UPDATE alembic_version SET version_num = :new WHERE version_num = :old"),
            {"old": old, "new": new},
        )
    database.close()


def tables(url: str) -> dict[str, sa.Table]:
    """The tables as the database has them."""
    database, found = Database(url), sa.MetaData()
    with database.reading() as tx:
        found.reflect(tx)
    database.close()
    return {name: table for name, table in found.tables.items() if not name.startswith("alembic")}


def forms(table: sa.Table, columns: frozenset[str]) -> Mapping[str, object]:
    """What matters of some of the columns to whoever writes and reads them."""
    return {
        column.name: (str(column.type), column.nullable, column.primary_key)
        for column in table.columns
        if column.name in columns
    }


def unique(table: sa.Table) -> set[tuple[str, ...]]:
    """What may be there once only."""
    sets: list[Any] = [each for each in table.constraints if isinstance(each, sa.UniqueConstraint)]
    sets += [index for index in table.indexes if index.unique]
    return {tuple(column.name for column in each.columns) for each in sets}


def test_an_upgrade_of_what_was_released_only_adds(empty_database_url: str) -> None:
    to(empty_database_url, *RELEASED)
    before = tables(empty_database_url)
    migrate.upgrade(empty_database_url)
    after = tables(empty_database_url)

    for name, old in before.items():
        new = after[name]
        columns = frozenset(column.name for column in old.columns)
        assert forms(new, columns) == forms(old, columns), name
        assert unique(new) <= unique(old), f"{name} refuses what it took"
        for column in new.columns:
            if column.name not in columns:
                assert column.nullable or column.server_default is not None, f"{name}.{column.name} is missed"


def value(column: sa.Column[Any], number: int) -> object:
    kind = column.type.python_type
    if kind is datetime:
        return datetime(2026, 11, 22, 12, 0, tzinfo=UTC).replace(tzinfo=None)
    values: dict[type, object] = {int: number, bool: True, bytes: b"body", float: 1.5}
    return values.get(kind, "2026-11-22 12:00:00.000000" if column.name.endswith("_at") else f"t{number}")


def write(tx: Tx, table: sa.Table, number: int) -> None:
    row = {column.name: value(column, number) for column in table.columns}
    tx.execute(table.insert(), row)
    key = sa.and_(*(column == row[column.name] for column in table.primary_key))
    assert tx.execute(sa.select(*table.columns).where(key)).one()
    other = {name: other for name, other in row.items() if name not in table.primary_key.columns}
    assert tx.execute(table.update().where(key).values(other)).rowcount <= 1
    assert tx.execute(table.delete().where(key)).rowcount == 1


def test_what_is_running_goes_on_writing_the_rows_that_it_knows(empty_database_url: str) -> None:
    """With the connections that it has, made before, and the statements of the version before."""
    to(empty_database_url, *RELEASED)
    known = tables(empty_database_url)
    running = Database(empty_database_url)
    for number in (1, 2):
        for table in known.values():
            with running.writing() as tx:
                write(tx, table, number)
        migrate.upgrade(empty_database_url)
    running.close()
    assert migrate.schema(empty_database_url) is Schema.CURRENT


def test_a_service_tells_an_older_schema_from_a_newer_one(empty_database_url: str) -> None:
    url = empty_database_url
    assert migrate.schema(url) is Schema.OLDER
    to(url, "announcing_0001")
    assert migrate.schema(url) is Schema.OLDER
    to(url, RELEASED[1])
    assert migrate.schema(url) is Schema.OLDER
    migrate.upgrade(url)
    assert migrate.schema(url) is Schema.CURRENT
    (_, control) = migrate.current(url)
    stamp(url, control, "control_9999")
    assert migrate.schema(url) is Schema.NEWER
    stamp(url, "announcing_0001", "announcing_9999")
    assert migrate.schema(url) is Schema.NEWER
    stamp(url, "control_9999", RELEASED[1])
    assert migrate.schema(url) is Schema.OLDER


@pytest.mark.parametrize("name", ["none.db", "empty.db"])
def test_a_database_without_tables_is_older(tmp_path: Any, name: str) -> None:
    (tmp_path / "empty.db").touch()
    assert migrate.schema(f"sqlite:///{tmp_path / name}") is Schema.OLDER
