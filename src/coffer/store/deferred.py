"""What PostgreSQL is told together with the commit, so that it costs the caller no wait of its own.

Rows that nobody reads before they are committed are kept until then and go out in one pipeline with the COMMIT; the
other databases get theirs at once. A savepoint that is rolled back takes those back that came after it.
"""

import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn
from weakref import WeakKeyDictionary

import psycopg
import sqlalchemy as sa
from psycopg import pq

Parameters = Sequence[bytes | None]

_UNNAMED = b""
_BEGIN = b"BEGIN ISOLATION LEVEL READ COMMITTED"
"""As the engine of those who write has it (`coffer.store.postgresql`)."""
_LOOK_MS = 100
"""How long at most a wait keeps a signal waiting that the kernel gave to another thread."""


class Statement(NamedTuple):
    """A finished text, and in which form libpq finds each of its parameters."""

    text: bytes
    formats: Sequence[pq.Format]


Deferred = list[tuple[Statement, Parameters]]

_WAITING: WeakKeyDictionary[sa.Connection, Deferred] = WeakKeyDictionary()
"""By transaction. Not in its `info`: that is of the driver's connection, and somebody else's once that broke."""


@contextmanager
def deferring(tx: sa.Connection) -> Iterator[None]:
    """Let statements be deferred within the block, and commit at its end if any were.

    Raises:
        sqlalchemy.exc.DBAPIError: what the driver raised when the statements and the commit were sent.
    """
    if tx.dialect.name != "postgresql":
        yield
        return
    rest = _WAITING[tx] = []
    try:
        yield
        if rest:
            _commit(tx, rest)
    finally:
        del _WAITING[tx]


def waiting(tx: sa.Connection) -> Deferred | None:
    """Return what waits for the commit, to be added to; None where nothing can."""
    return _WAITING.get(tx)


@contextmanager
def savepoint(tx: sa.Connection) -> Iterator[None]:
    """Undo what the block wrote or deferred if it raises, and only that; the transaction around it goes on."""
    rest = waiting(tx)
    before = len(rest or ())
    try:
        with tx.begin_nested():
            yield
    except BaseException:
        if rest is not None:
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
        if driver.pgconn.pipeline_status != pq.PipelineStatus.OFF:
            driver.close()  # broken, or of no use to anybody as it is
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
        pgconn.send_query_params(_BEGIN, None)
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
    complaint: psycopg.Error | None = None
    try:
        for answer in _answers(pgconn):
            if answer.status != pq.ExecStatus.COMMAND_OK and complaint is None:
                complaint = psycopg.errors.error_from_result(answer)
    except psycopg.OperationalError as error:
        # What the server said before it hung up says more.
        raise complaint or error from None
    pgconn.exit_pipeline_mode()
    if complaint is not None:
        raise complaint


def _answers(pgconn: pq.abc.PGconn) -> Iterator[pq.abc.PGresult]:
    """Wait for the answers here: libpq would, too, but keep all other threads waiting meanwhile."""
    poll = select.poll()
    poll.register(pgconn.socket, select.POLLIN | select.POLLOUT)
    while pgconn.flush():
        # A server that cannot send its answers takes no more statements either.
        if any(event != select.POLLOUT for _, event in poll.poll(_LOOK_MS)):
            pgconn.consume_input()
    poll.modify(pgconn.socket, select.POLLIN)
    while True:
        while pgconn.is_busy():
            poll.poll(_LOOK_MS)
            pgconn.consume_input()
        answer = pgconn.get_result()
        if answer is None:
            if pgconn.status != pq.ConnStatus.OK:
                raise psycopg.OperationalError("the connection broke")
            continue  # the end of one statement's answers
        if answer.status == pq.ExecStatus.PIPELINE_SYNC:
            return
        yield answer
