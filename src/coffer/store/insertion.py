"""How a row is written that every change of anything writes: by the driver itself, past SQLAlchemy.

SQLAlchemy's way to run a finished text costs several times what a driver needs for it, and psycopg's cursor several
times what libpq does (docs/performance.md). What the store relies on in SQLAlchemy is done here too: errors come as its
own, its listeners hear of them, and a connection that broke is given to nobody else.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NoReturn

import psycopg
import sqlalchemy as sa
from psycopg import pq

Value = str | datetime | bytes | None
Row = tuple[Value, ...]

_CURSOR = "coffer.cursor"
_MANY = 8
"""So many rows go to PostgreSQL faster in one stream than one by one."""


class Insertion:
    """The statement that writes rows of some columns of a table; the values of each come in the order of `names`."""

    def __init__(self, table: sa.Table, names: Sequence[str], *, large: str) -> None:
        """Write `names`; the column `large` holds what is different each time, the others repeat themselves."""
        self._table = table
        self._names = names
        self._large = large
        values = ", ".join(f"${number}" for number in range(1, len(names) + 1))
        self._libpq = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({values})".encode()  # noqa: S608 - ours
        self._compiled = lru_cache(maxsize=8)(self._compile)

    def write(self, tx: sa.Connection, rows: Sequence[Row]) -> None:
        """Write `rows`, in their order.

        Raises:
            sqlalchemy.exc.DBAPIError: what the driver raised.
        """
        driver: Any = tx.connection.dbapi_connection
        try:
            if isinstance(driver, psycopg.Connection) and _takes(driver, rows):
                for row in rows:
                    self._by_libpq(driver.pgconn, row)
            else:
                self._by_cursor(tx, rows)
        except tx.dialect.loaded_dbapi.Error as error:
            _raise_as_sqlalchemy(tx, error)

    def _by_libpq(self, pgconn: pq.abc.PGconn, row: Row) -> None:
        values, formats = zip(*(_for_libpq(value) for value in row), strict=True)
        result = pgconn.exec_params(self._libpq, values, param_formats=formats)
        if result.status != pq.ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(result)

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


def _takes(driver: psycopg.Connection[Any], rows: Sequence[Row]) -> bool:
    """Whether libpq may write: psycopg begins a transaction with the first statement that goes through it."""
    return len(rows) < _MANY and driver.pgconn.transaction_status == pq.TransactionStatus.INTRANS


def _for_libpq(value: Value) -> tuple[bytes | None, pq.Format]:
    """Return a value as PostgreSQL reads it, and in which form that is."""
    if value is None or isinstance(value, bytes):
        return value, pq.Format.BINARY
    if isinstance(value, str):
        # Not as text, which libpq would take to end at a NUL; the server refuses it.
        return value.encode(), pq.Format.BINARY
    if value.utcoffset() is None:
        raise ValueError("a naive datetime cannot be stored")
    return value.astimezone(UTC).isoformat().encode(), pq.Format.TEXT


def _raise_as_sqlalchemy(tx: sa.Connection, error: Exception) -> NoReturn:
    # It has no public name, and does all that follows an error: tells the listeners, drops what broke, wraps.
    tx._handle_dbapi_exception(error, None, None, None, None)  # noqa: SLF001
