"""The collector's own database: its engine, its two tables, its transactions.

It is never the control plane's database: the collector can run elsewhere, be read by others and be thrown
away. One of the three files of the collector that know SQLAlchemy (the others are `events` and `queries`).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.pool import ConnectionPoolEntry

from coffer import mysql_session
from coffer.sqlite_file import create_private, use_write_ahead_log

Tx = sa.Connection
"""An open transaction, as the other files of the collector hand it around."""

KEY_LENGTH = 255
"""Characters of an indexed column."""
BUSY_TIMEOUT_S = 30
_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    **dict.fromkeys(mysql_session.SCHEMES, mysql_session.DRIVER),
}
_UPGRADE_S = 24 * 3600
"""How long MariaDB may take to rebuild a table; other statements have a minute."""

LongText = sa.Text().with_variant(mysql.LONGTEXT(), "mysql")
LongBytes = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql")
"""Of any length; MariaDB's TEXT and BLOB would end at 64 KiB."""


class CollectorDatabaseError(Exception):
    """The collector's database cannot be used; the text has the reason, never values or passwords."""


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """Aware UTC in Python, naive UTC with microseconds in the database, alike on every engine."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[datetime]:
        """MariaDB's own type would end at the second."""
        kind = mysql.DATETIME(fsp=6) if dialect.name == "mysql" else sa.DateTime()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To the database."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """From the database."""
        return None if value is None else value.replace(tzinfo=UTC)


def _key(name: str, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.String(KEY_LENGTH), nullable=nullable)


metadata = sa.MetaData()

events = sa.Table(
    "events",
    metadata,
    sa.Column(
        "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
    ),
    _key("message_id", nullable=False),
    _key("event_type", nullable=False),
    _key("severity", nullable=False),
    _key("publisher_id", nullable=False),
    sa.Column("timestamp", UtcDateTime(), nullable=False),
    sa.Column("received_at", UtcDateTime(), nullable=False),
    _key("tenant_id"),
    _key("request_id"),
    _key("run_id"),
    _key("instance_id"),
    # JSON text in ASCII: no engine's own JSON type takes every string that JSON can spell (NUL, lone
    # surrogates).
    sa.Column("payload", LongText, nullable=False),
    sa.UniqueConstraint("message_id", name="uq_events_message_id"),
    sa.Index("ix_events_timestamp", "timestamp"),
    sa.Index("ix_events_tenant_id_timestamp", "tenant_id", "timestamp"),
    sa.Index("ix_events_request_id", "request_id"),
    sa.Index("ix_events_run_id", "run_id"),
    sa.Index("ix_events_event_type_timestamp", "event_type", "timestamp"),
    # Ids are never used again, so that "after id" stays true for a watcher when old events are deleted.
    sqlite_autoincrement=True,
)

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    sa.Column(
        "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
    ),
    sa.Column("received_at", UtcDateTime(), nullable=False),
    sa.Column("reason", LongText, nullable=False),
    sa.Column("body", LongBytes, nullable=False),
    sqlite_autoincrement=True,
)


class Database:
    """The engine with its two kinds of transactions."""

    def __init__(self, url: str, *, is_read_only: bool = False) -> None:
        """Open the database at the SQLAlchemy `url`; nothing is connected yet.

        Raises:
            ValueError: if it is none of SQLite, PostgreSQL and MariaDB; the URL is not quoted.
        """
        parsed = _parsed(url)
        self._url = url
        options: dict[str, Any] = {}
        if parsed.drivername == mysql_session.DRIVER:
            options["connect_args"] = mysql_session.connect_arguments(parsed.query)
            parsed = parsed.set(query=mysql_session.plain_query(parsed.query))
        if parsed.get_backend_name() == "sqlite" and is_read_only:
            file = f"file:{quote(parsed.database or '')}?mode=ro"
            options["creator"] = lambda: sqlite3.connect(file, uri=True, check_same_thread=False)
        self._engine = sa.create_engine(parsed, hide_parameters=True, pool_pre_ping=True, **options)
        if self.dialect == "sqlite":
            if not is_read_only:
                sa.event.listen(self._engine, "do_connect", _make_private)
            _tame_sqlite(self._engine, is_read_only=is_read_only)
        elif self.dialect == "mysql":
            settings = mysql_session.READING if is_read_only else mysql_session.WRITING
            sa.event.listen(self._engine, "connect", mysql_session.configure(settings))
            sa.event.listen(self._engine, "handle_error", mysql_session.let_go_when_undone)

    @classmethod
    def read_only(cls, url: str) -> Self:
        """Open the database for a reader, beside whoever writes to it; an SQLite file has to be there."""
        return cls(url, is_read_only=True)

    @property
    def dialect(self) -> str:
        """`sqlite`, `postgresql` or `mysql` (which MariaDB is, too)."""
        return self._engine.dialect.name

    @contextmanager
    def upgrading(self) -> Iterator[Tx]:
        """As `writing`, for changes of tables, which may take hours where there are many events."""
        if self.dialect != "mysql":
            with self.writing() as tx:
                yield tx
            return
        patient = sa.make_url(self._url).update_query_dict({"read_timeout": str(_UPGRADE_S)})
        database = Database(patient.render_as_string(hide_password=False))
        try:
            with database.writing() as tx:
                yield tx
        finally:
            database.close()

    @contextmanager
    def writing(self) -> Iterator[Tx]:
        """One transaction that is committed at the end, or rolled back by an exception."""
        with (
            _translated(),
            self._engine.connect().execution_options(coffer_begin="BEGIN IMMEDIATE") as tx,
            tx.begin(),
        ):
            yield tx

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        """One transaction that changes nothing."""
        with _translated(), self._engine.connect() as tx:
            yield tx

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
        kind = parsed.get_backend_name()
    except (sa.exc.ArgumentError, ValueError):
        raise ValueError("the URL of the collector's database cannot be read") from None
    if kind not in _DRIVERS:
        raise ValueError(f"the collector's database is one of {', '.join(_DRIVERS)}, not {kind}")
    return parsed.set(drivername=_DRIVERS[kind])


@contextmanager
def _translated() -> Iterator[None]:
    """Let no error of SQLAlchemy out: who uses the collector need not know what it is built on."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        number = mysql_session.error_number(error.orig)
        if number is not None:
            trouble = mysql_session.trouble(number) or "it refused a statement"
            raise CollectorDatabaseError(f"{trouble} (error {number})") from None
        raise CollectorDatabaseError(str(error.orig).strip() or type(error.orig).__name__) from error
    except sa.exc.SQLAlchemyError as error:
        raise CollectorDatabaseError(type(error).__name__) from error


def _make_private(_dialect: object, _record: object, args: list[Any], _options: dict[str, Any]) -> None:
    """Create the file so that only its owner reads it: events tell tenants' names."""
    create_private(Path(args[0]))


def _tame_sqlite(engine: sa.Engine, *, is_read_only: bool) -> None:
    """Durable write-ahead logging, and transactions that begin when we say so (the driver waits)."""

    @sa.event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
        if not is_read_only:
            use_write_ahead_log(connection, patience_s=BUSY_TIMEOUT_S)
            # A message is acknowledged after the commit, so the commit has to survive a power cut.
            connection.execute("PRAGMA synchronous = FULL")

    @sa.event.listens_for(engine, "begin")
    def _on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("coffer_begin", "BEGIN"))
