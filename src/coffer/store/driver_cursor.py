"""A statement given to the driver itself, for those few that every change of anything runs.

SQLAlchemy's way to run a finished text costs several times what a driver needs for it (docs/performance.md). What is
done here beside it is what the store relies on there: errors come as SQLAlchemy's, and a connection that broke is not
given to anybody else.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, exc

_KEPT = "coffer.cursor"


def execute(tx: Connection, text: str, parameters: Sequence[Any]) -> None:
    """Run `text`, in the driver's own form, once for each of `parameters`; what it returns is dropped.

    Raises:
        sqlalchemy.exc.DBAPIError: what the driver raised.
    """
    dialect = tx.dialect
    cursor = _cursor(tx)
    try:
        if len(parameters) == 1:
            cursor.execute(text, parameters[0])
        else:
            dialect.do_executemany(cursor, text, parameters)
    except dialect.loaded_dbapi.Error as error:
        raise _of_sqlalchemy(tx, cursor, text, error) from error


def _cursor(tx: Connection) -> Any:
    """Return the cursor that the connection of `tx` keeps for this; it lives as long as the driver's connection."""
    kept = tx.info.get(_KEPT)
    if kept is None:
        kept = tx.info[_KEPT] = tx.connection.cursor()
    return kept


def _of_sqlalchemy(tx: Connection, cursor: Any, text: str, error: Any) -> BaseException:
    """Return `error` as SQLAlchemy would raise it; a connection that it broke is not used again."""
    dialect = tx.dialect
    is_broken = dialect.is_disconnect(error, tx.connection.dbapi_connection, cursor)
    if is_broken:
        tx.invalidate(error)
    wrapped: BaseException = exc.DBAPIError.instance(
        text,
        None,
        error,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=is_broken,
        dialect=dialect,
    )
    return wrapped
