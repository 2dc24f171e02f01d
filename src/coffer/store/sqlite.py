"""SQLite as the control plane's database: one file, one writer, readers that never wait."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from coffer.sqlite_file import create_private, use_write_ahead_log
from coffer.store.engines import Engines
from coffer.store.turns import Turns

BUSY_TIMEOUT_S = 30
_WAL_LIMIT_BYTES = 64 * 1024 * 1024

_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}",
)


def engines(url: URL, pool_size: int) -> Engines:
    """Return a writer with a single connection, and a reader that cannot write.

    Raises:
        ValueError: if the database is in memory (every connection would see another one), or for a bad timeout.
    """
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ValueError("SQLite needs a file: sqlite:////path/to/coffer.db")
    writer = _engine(url, begin="BEGIN IMMEDIATE", pool_size=1, max_overflow=0)
    reader = _engine(url, begin="BEGIN", pool_size=pool_size, max_overflow=-1)
    event.listen(reader, "connect", _forbid_writing)
    return Engines(writer=writer, reader=reader, turns=Turns(), turn_timeout_s=_busy_timeout_s(url))


def _engine(url: URL, *, begin: str, pool_size: int, max_overflow: int) -> Engine:
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"),
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=max_overflow,
        # isolation_level None: the driver begins nothing by itself, `begin` below does.
        connect_args={"timeout": _busy_timeout_s(url), "isolation_level": None, "check_same_thread": False},
    )

    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "do_connect", _make_private)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _busy_timeout_s(url: URL) -> float:
    """Return how long to wait for the writer's place; `?timeout=` of the URL says otherwise."""
    return float(str(url.query.get("timeout", BUSY_TIMEOUT_S)))


def _make_private(_dialect: object, _record: object, args: list[Any], _options: dict[str, Any]) -> None:
    """Create the file so that only its owner reads it; the server processes of tenants live near it."""
    create_private(Path(args[0]))


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    use_write_ahead_log(connection, patience_s=BUSY_TIMEOUT_S)
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _forbid_writing(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA query_only = ON")
