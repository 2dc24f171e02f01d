"""How a row is written that every change of anything writes: by the driver itself, past SQLAlchemy.

SQLAlchemy's way to run a finished text costs several times what a driver needs for it (docs/performance.md). A round
trip to PostgreSQL costs more than all the rest; there the rows go out with the commit (`coffer.store.deferred`). What
the store relies on in SQLAlchemy is done here too: errors come as its own, its listeners hear of them, and a connection
that broke is given to nobody else.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from psycopg import pq

from coffer.store import deferred
from coffer.store.types import UtcDateTime, in_utc

Value = str | datetime | bytes | None
Row = tuple[Value, ...]

_CURSOR = "coffer.cursor"


class Insertion:
    """The statement that writes rows of some columns of a table; the values of each come in the order of `names`."""

    def __init__(self, table: sa.Table, names: Sequence[str], *, large: str) -> None:
        """Write `names`; the column `large` holds what is different each time, the others repeat themselves."""
        self._table = table
        self._names = names
        self._large = large
        self._deferred = _for_libpq(table, names)
        self._compiled = lru_cache(maxsize=8)(self._compile)

    def write(self, tx: sa.Connection, rows: Sequence[Row]) -> None:
        """Write `rows`, in their order; on PostgreSQL with the commit, which raises what is wrong then.

        Raises:
            ValueError: for a moment without a zone.
            sqlalchemy.exc.DBAPIError: what the driver raised.
        """
        waiting = deferred.waiting(tx)
        if waiting is not None:
            waiting += [(self._deferred, _parameters(row)) for row in rows]
            return
        try:
            self._by_cursor(tx, rows)
        except tx.dialect.loaded_dbapi.Error as error:
            deferred.raise_as_sqlalchemy(tx, error)

    def _by_cursor(self, tx: sa.Connection, rows: Sequence[Row]) -> None:
        text, prepare = self._compiled(tx.dialect)
        cursor = tx.info.get(_CURSOR)
        if cursor is None:
            # Kept as long as the driver's connection is.
            cursor = tx.info[_CURSOR] = tx.connection.cursor()
        if len(rows) == 1:
            cursor.execute(text, prepare(rows[0]))
        else:
            tx.dialect.do_executemany(cursor, text, [prepare(row) for row in rows])

    def _compile(self, dialect: sa.Dialect) -> tuple[str, Callable[[Row], Any]]:
        """Return the text for a kind of database, and what makes its driver's parameters of a row."""
        compiled = sa.insert(self._table).inline().compile(dialect=dialect, column_keys=list(self._names))
        assert not compiled.positional or compiled.positiontup == list(self._names), "another order is wanted"
        types = [self._table.c[name].type.dialect_impl(dialect) for name in self._names]
        processes = [
            (position, process if self._names[position] == self._large else lru_cache(maxsize=64)(process))
            for position, process in enumerate(kind.bind_processor(dialect) for kind in types)
            if process is not None
        ]

        def prepare(row: Row) -> Any:
            values: list[Any] = list(row)
            for position, process in processes:
                values[position] = process(values[position])
            return values if compiled.positional else dict(zip(self._names, values, strict=True))

        return str(compiled), prepare


def _for_libpq(table: sa.Table, names: Sequence[str]) -> deferred.Statement:
    values = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    text = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({values})"  # noqa: S608  (names of ours)
    # Text in its binary form, too: libpq would take it to end at a NUL, where the server refuses it.
    return deferred.Statement(
        text.encode(),
        [
            pq.Format.TEXT if isinstance(table.c[name].type, UtcDateTime) else pq.Format.BINARY
            for name in names
        ],
    )


def _parameters(row: Row) -> deferred.Parameters:
    return [
        value.encode() if isinstance(value, str) else _moment(value) if isinstance(value, datetime) else value
        for value in row
    ]


@lru_cache(maxsize=64)
def _moment(moment: datetime) -> bytes:
    return in_utc(moment).isoformat().encode()
