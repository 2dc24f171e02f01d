"""What the store raises when the database fails; it never quotes statements, values or passwords.

The texts of drivers are not passed on: PostgreSQL's say which row failed, SQLAlchemy's which statement.
What an operator needs is here instead: which database, which kind of trouble, the driver's code.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from coffer import mysql_session

_SQLITE_TROUBLES = {
    3: "permission denied",
    5: "it is busy",
    6: "it is busy",
    8: "it cannot be written",
    10: "the disk failed",
    11: "the file is damaged",
    13: "no space is left",
    14: "the file cannot be opened",
    26: "the file is not a database",
}
"""By primary result code. Source: https://www.sqlite.org/rescode.html."""

_POSTGRESQL_TROUBLES = {
    "08": "the connection failed",
    "28": "the login was refused",
    "3D": "there is no such database",
    "40": "two transactions were in each other's way",
    "53": "it is out of resources",
    "55": "a lock was not granted in time",
    "57": "it is starting, stopping or was told to stop the statement",
    "58": "its operating system failed",
}
"""By class of SQLSTATE. Source: PostgreSQL's manual, appendix A."""

_CONTENTION = frozenset({"40001", "40P01"})
"""SQLSTATEs: a serialization failure, a deadlock. Source: as above."""


class StoreError(Exception):
    """The root of what the store raises."""


class StoreUnavailable(StoreError):  # noqa: N818  (a name that other floors rely on)
    """The database cannot be reached, is busy, full or shutting down; the transaction has not happened.

    Unless the connection broke during the commit itself: then it may have happened.
    """

    def __init__(self, database: str, trouble: str) -> None:
        """Say which `database` (never with a password) has which `trouble`."""
        self.database = database
        self.trouble = trouble
        super().__init__(f"The database {database} is not available: {trouble}.")


class StoreContended(StoreUnavailable):
    """Another transaction was in the way, each of the two waiting for the other; the same one again may go through.

    It has not happened, for sure.
    """


class StoreRefused(StoreError):  # noqa: N818  (as above)
    """The database refused a statement: it breaks a constraint, or the schema is not what we know."""

    def __init__(self, database: str, kind: str, code: str) -> None:
        """Keep the class of the driver's error and its code or constraint."""
        self.kind = kind
        self.code = code
        super().__init__(f"The database {database} refused a statement: {kind} ({code}).")


class SchemaUnknownError(StoreError):
    """The database's schema is of a newer coffer than this one."""


@contextmanager
def translated(database: str) -> Iterator[None]:
    """Let no error of SQLAlchemy or a driver out of the block.

    Raises:
        StoreUnavailable: for trouble of the database; trying again later may help.
        StoreRefused: for a statement that can never succeed.
    """
    try:
        yield
    except exc.TimeoutError:
        raise StoreUnavailable(database, "all of its connections are in use") from None
    except exc.DBAPIError as error:
        raise _translation(error, database) from None
    except exc.StatementError as error:
        # A value that a column type refused: a programmer's error, in the words of the type.
        if error.orig is None:
            raise StoreRefused(database, type(error).__name__, "no code") from None
        raise error.orig from None


def _translation(error: exc.DBAPIError, database: str) -> StoreError:
    trouble, code, is_contended = _diagnosis(error)
    if trouble is None and error.connection_invalidated:
        trouble = "the connection was lost"
    if trouble is not None and is_contended:
        return StoreContended(database, trouble)
    if trouble is not None:
        return StoreUnavailable(database, trouble)
    return StoreRefused(database, type(error.orig).__name__, code)


def _diagnosis(error: exc.DBAPIError) -> tuple[str | None, str, bool]:
    """Return the trouble (None: it is the statement's fault), the driver's code, and whether others were in the way."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        name = str(getattr(error.orig, "sqlite_errorname", code))
        return _SQLITE_TROUBLES.get(code & 0xFF), name, False
    number = mysql_session.error_number(error.orig)
    if number is not None:
        return mysql_session.trouble(number), str(number), mysql_session.is_contention(number)
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return _POSTGRESQL_TROUBLES.get(state[:2]), state, state in _CONTENTION
    trouble = "it cannot be reached" if isinstance(error, exc.OperationalError) else None
    return trouble, "no code", False
