"""What becomes of the errors of SQLAlchemy and of drivers."""

import sqlite3
from typing import Any

import psycopg
import pymysql
import pytest
from sqlalchemy import exc  # noqa: TID251  (what is translated here)

from coffer.store.errors import StoreContended, StoreRefused, StoreUnavailable, translated

STATEMENT = "INSERT INTO users VALUES (:password)"
SECRET = {"password": "tiger"}


def sqlite_error(code: int, name: str) -> sqlite3.Error:
    error = sqlite3.OperationalError("Failing row contains (tiger)")
    error.sqlite_errorcode = code
    error.sqlite_errorname = name
    return error


def postgresql_error(sqlstate: str) -> psycopg.Error:
    return psycopg.errors.lookup(sqlstate)("Failing row contains (tiger)")


def mariadb_error(number: int) -> pymysql.Error:
    return pymysql.err.OperationalError(number, "Duplicate entry 'tiger' for key 'x'")


def raised(error: BaseException) -> BaseException:
    with pytest.raises(Exception) as caught, translated("sqlite:coffer.db"):
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("original", "trouble"),
    [
        (sqlite_error(5, "SQLITE_BUSY"), "it is busy"),
        (sqlite_error(517, "SQLITE_BUSY_SNAPSHOT"), "it is busy"),
        (sqlite_error(778, "SQLITE_IOERR_WRITE"), "the disk failed"),
        (sqlite_error(13, "SQLITE_FULL"), "no space is left"),
        (postgresql_error("57P01"), "it is starting, stopping or was told to stop the statement"),
        (postgresql_error("53300"), "it is out of resources"),
        (postgresql_error("40P01"), "two transactions were in each other's way"),
        (psycopg.OperationalError("connection to tiger failed"), "it cannot be reached"),
        (mariadb_error(1213), "two transactions were in each other's way"),
        (mariadb_error(1045), "the login was refused"),
        (mariadb_error(2013), "the connection was lost"),
    ],
)
def test_trouble_of_the_database_is_told_apart(original: Exception, trouble: str) -> None:
    error = raised(exc.OperationalError(STATEMENT, SECRET, original))
    assert isinstance(error, StoreUnavailable)
    assert str(error) == f"The database sqlite:coffer.db is not available: {trouble}."


@pytest.mark.parametrize(
    ("kind", "original", "code"),
    [
        (
            exc.IntegrityError,
            sqlite_error(1555, "SQLITE_CONSTRAINT_PRIMARYKEY"),
            "SQLITE_CONSTRAINT_PRIMARYKEY",
        ),
        (exc.IntegrityError, postgresql_error("23505"), "23505"),
        (exc.ProgrammingError, postgresql_error("42P01"), "42P01"),
        (exc.IntegrityError, mariadb_error(1062), "1062"),
        (exc.DataError, mariadb_error(1406), "1406"),
        (exc.OperationalError, sqlite_error(1, "SQLITE_ERROR"), "SQLITE_ERROR"),
    ],
)
def test_a_statement_that_was_refused_is_named_by_its_code(
    kind: type[exc.DBAPIError], original: Exception, code: str
) -> None:
    error = raised(kind(STATEMENT, SECRET, original))
    assert isinstance(error, StoreRefused)
    assert error.code == code
    assert "tiger" not in str(error)


@pytest.mark.parametrize(
    "original",
    [postgresql_error("40001"), postgresql_error("40P01"), mariadb_error(1205), mariadb_error(1213)],
)
def test_who_was_in_anothers_way_may_try_again(original: Exception) -> None:
    assert isinstance(raised(exc.OperationalError(STATEMENT, SECRET, original)), StoreContended)


def test_a_lost_connection_is_trouble_whatever_the_driver_called_it() -> None:
    lost: Any = exc.InterfaceError(STATEMENT, SECRET, RuntimeError("tiger"), connection_invalidated=True)
    error = raised(lost)
    assert isinstance(error, StoreUnavailable)
    assert error.trouble == "the connection was lost"


def test_a_pool_that_is_used_up_is_trouble() -> None:
    error = raised(exc.TimeoutError("QueuePool limit of size 8 overflow 16 reached"))
    assert isinstance(error, StoreUnavailable)
    assert error.trouble == "all of its connections are in use"


def test_a_value_that_a_type_refused_is_raised_in_the_words_of_the_type() -> None:
    original = ValueError("a naive datetime cannot be stored")
    assert raised(exc.StatementError("...", STATEMENT, SECRET, original)) is original


def test_other_exceptions_pass() -> None:
    error = KeyError("x")
    assert raised(error) is error
