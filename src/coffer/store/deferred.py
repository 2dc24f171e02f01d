"""What PostgreSQL is told together with the commit, so that it costs the caller no wait of its own.

Rows that nobody reads before they are committed are kept until then and go out in one pipeline with the COMMIT; the
other databases get theirs at once. A savepoint that is rolled back takes those back that came after it.
"""

import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

import psycopg
import sqlalchemy as sa
from psycopg import pq

Parameters = Sequence[bytes | None]

_KEY = "coffer.deferred"
_UNNAMED = b""


class Statement(NamedTuple):
    """A finished text, and in which form libpq finds each of its parameters."""

    text: bytes
    formats: Sequence[pq.Format]


Deferred = list[tuple[Statement, Parameters]]


@contextmanager
def deferring(tx: sa.Connection) -> Iterator[None]:
    """Let statements be deferred within the block, and commit at its end if any were.

    Raises:
        sqlalchemy.exc.DBAPIError: what the driver raised when the statements and the commit were sent.
    """
    if tx.dialect.name != "postgresql":
        yield
        return
    info = tx.info
    rest: Deferred = []
    info[_KEY] = rest
    try:
        yield
        if rest:
            _commit(tx, rest)
    finally:
        del info[_KEY]


def waiting(tx: sa.Connection) -> Deferred | None:
    """Return what waits for the commit, to be added to; None where nothing can."""
    found: Deferred | None = tx.info.get(_KEY)
    return found


@contextmanager
def savepoint(tx: sa.Connection) -> Iterator[None]:
    """Undo what the block wrote or deferred if it raises, and only that; the transaction around it goes on."""
    rest = waiting(tx) or []
    before = len(rest)
    try:
        with tx.begin_nested():
            yield
    except BaseException:
        del rest[before:]
        raise


def raise_as_sqlalchemy(tx: sa.Connection, error: Exception) -> NoReturn:
    """Raise what a driver raised as SQLAlchemy would have."""
    # It has no public name, and does all that follows an error: tells the listeners, drops what broke, wraps.
    tx._handle_dbapi_exception(error, None, None, None, None)  # noqa: SLF001


def _commit(tx: sa.Connection, rest: Deferred) -> None:
    driver: Any = tx.connection.dbapi_connection
    try:
        _send(driver.pgconn, rest)
        _receive(driver.pgconn)
    except psycopg.Error as error:
        raise_as_sqlalchemy(tx, error)
    except BaseException:
        # Somebody interrupted us, and there are answers under way that nobody will read.
        tx.invalidate()
        raise


def _send(pgconn: pq.abc.PGconn, rest: Deferred) -> None:
    """Send it all at once, with the COMMIT; what fails keeps all that follows from being done."""
    pgconn.enter_pipeline_mode()
    if pgconn.transaction_status == pq.TransactionStatus.IDLE:
        # psycopg begins a transaction with the first statement that goes through it, and none has.
        pgconn.send_query_params(b"BEGIN", None)
    known = None
    for statement, parameters in rest:
        if statement is not known:
            pgconn.send_prepare(_UNNAMED, statement.text)
            known = statement
        pgconn.send_query_prepared(_UNNAMED, parameters, param_formats=statement.formats)
    pgconn.send_query_params(b"COMMIT", None)
    pgconn.pipeline_sync()


def _receive(pgconn: pq.abc.PGconn) -> None:
    """Read all answers.

    Raises:
        psycopg.Error: the first complaint among them, or that the connection broke.
    """
    complaint = None
    for answer in _answers(pgconn):
        if answer.status != pq.ExecStatus.COMMAND_OK and complaint is None:
            complaint = psycopg.errors.error_from_result(answer)
    if pgconn.status != pq.ConnStatus.OK:
        raise complaint or psycopg.OperationalError("the connection broke")
    pgconn.exit_pipeline_mode()
    if complaint is not None:
        raise complaint


def _answers(pgconn: pq.abc.PGconn) -> Iterator[pq.abc.PGresult]:
    """Wait for the answers here: libpq would, too, but keep all other threads waiting meanwhile."""
    poll = select.poll()
    poll.register(pgconn.socket, select.POLLIN | select.POLLOUT)
    while pgconn.flush():
        # A server that cannot send its answers takes no more statements either.
        if poll.poll()[0][1] != select.POLLOUT:
            pgconn.consume_input()
    poll.modify(pgconn.socket, select.POLLIN)
    while pgconn.status == pq.ConnStatus.OK:
        while pgconn.is_busy():
            poll.poll()
            pgconn.consume_input()
        answer = pgconn.get_result()
        if answer is None:
            continue  # the end of one statement's answers
        if answer.status == pq.ExecStatus.PIPELINE_SYNC:
            return
        yield answer
