"""Migrations on MariaDB and MySQL, where no transaction holds a change of tables: interrupted anywhere, they go on.

Each step (a statement that changes tables) is noted before it is made, and its making commits the note. Who finds a
note goes on behind the step that it names. That step alone may have been made or not, so only there is "it exists
already" no error; anywhere else it means that the tables are somebody else's. Statements that change rows are not
noted: in a migration they must bear being repeated.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic.ddl.mysql import MySQLImpl

from coffer.mysql_session import error_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqlalchemy import Connection, Table

_DONE_ALREADY = frozenset({1050, 1051, 1060, 1061, 1091})
"""Errors: the table exists, is unknown; the column, the index exists; what is dropped is not there."""

_LOCK = "CONCAT('coffer.', SHA1(CONCAT_WS('.', DATABASE(), :family)))"
_SLICE_S = 20
_LOCK_WAIT_S = 600


class _Impl(MySQLImpl):
    """What Alembic does on MariaDB and MySQL, step by step; without a journal as ever.

    Tables are made with the collation that compares as the other databases do: by code point, case and trailing
    spaces included.
    """

    __dialect__ = "mysql"
    transactional_ddl = False

    def create_table(self, table: Table, **kw: Any) -> None:
        assert self.connection is not None
        is_mariadb = getattr(self.connection.dialect, "is_mariadb", False)
        table.dialect_kwargs.update(
            mysql_engine="InnoDB",
            mysql_charset="utf8mb4",
            mysql_collate="utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin",
        )
        super().create_table(table, **kw)

    def _exec(self, construct: Any, *args: Any, **kw: Any) -> Any:
        assert self.connection is not None
        journal: Journal | None = self.connection.info.get(Journal)
        if journal is None or not isinstance(construct, sa.schema.ExecutableDDLElement):
            return super()._exec(construct, *args, **kw)
        journal.step(lambda: super(_Impl, self)._exec(construct, *args, **kw))
        return None


class Journal:
    """How far the migration that is under way has come, in a table that is there only meanwhile."""

    def __init__(self, tx: Connection, table: str) -> None:
        """Keep the notes in `table`."""
        self._tx = tx
        columns = (
            sa.Column("revision", sa.String(64), primary_key=True),
            sa.Column("step", sa.Integer, nullable=False),
        )
        self._table = sa.Table(table, sa.MetaData(), *columns)
        self._revision = ""
        self._at = self._reached = 0

    def run(self, revisions: Iterable[str], apply: Callable[[str], None]) -> None:
        """Apply `revisions`, one by one, each from where it was left."""
        self._table.create(self._tx, checkfirst=True)
        self._tx.info[Journal] = self
        try:
            for revision in revisions:
                self._open(revision)
                apply(revision)
        finally:
            if not self._tx.invalidated:
                self._tx.info.pop(Journal, None)
        self._table.drop(self._tx)

    def step(self, make: Callable[[], object]) -> None:
        """Make the next step, unless that was done before."""
        self._at += 1
        if self._at < self._reached:
            return
        is_in_doubt = self._at == self._reached
        if not is_in_doubt:
            self._note(self._at)
        try:
            make()
        except sa.exc.DBAPIError as error:
            if is_in_doubt and error_number(error.orig) in _DONE_ALREADY:
                return
            if not is_in_doubt and not error.connection_invalidated:
                self._note(self._at - 1)
                self._tx.exec_driver_sql("COMMIT")
            raise

    def _open(self, revision: str) -> None:
        column = self._table.c
        found = self._tx.scalar(sa.select(column.step).where(column.revision == revision))
        if found is None:
            self._tx.execute(sa.insert(self._table).values(revision=revision, step=0))
        self._revision, self._at, self._reached = revision, 0, found or 0

    def _note(self, step: int) -> None:
        """Say which step was begun last; the step itself commits this, as every change of tables does."""
        ours = self._table.c.revision == self._revision
        self._tx.execute(sa.update(self._table).where(ours).values(step=step))


@contextmanager
def one_at_a_time(tx: Connection, family: str, *, busy: Exception) -> Iterator[None]:
    """Hold the lock of whoever migrates this `family` of tables; wait for who does now, ten minutes at most.

    The server lets go of it when the connection ends, however that happens. `busy` is raised if it is not free by
    then.
    """
    take = sa.text(f"SELECT GET_LOCK({_LOCK}, {_SLICE_S})")
    for _ in range(_LOCK_WAIT_S // _SLICE_S):
        if tx.scalar(take, {"family": family}) == 1:
            break
    else:
        raise busy
    try:
        yield
    finally:
        if not tx.invalidated:
            tx.execute(sa.text(f"SELECT RELEASE_LOCK({_LOCK})"), {"family": family})
