"""The way to the database: transactions that write, snapshots that read."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from sqlalchemy import URL, Connection, exc, make_url

from coffer.store import deferred, mysql, postgresql, sqlite
from coffer.store.engines import Engines
from coffer.store.errors import StoreUnavailable, translated

Tx: TypeAlias = Connection
"""An open transaction, as the other floors pass it on to the store's functions."""

_KINDS: Mapping[str, Callable[[URL, int], Engines]] = {
    "sqlite": sqlite.engines,
    "postgresql": postgresql.engines,
    "mysql": mysql.engines,
    "mariadb": mysql.engines,
}


class Database:
    """One database and its connections; shared by all threads of a process."""

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        """Connect to nothing yet.

        `pool_size` connections are kept (to MariaDB twice, one half of them to read); the server is asked for at
        most three times as many.

        Raises:
            ValueError: if `url` is no URL of a database that coffer supports; it is not quoted.
        """
        parsed = _parsed(url)
        kind = parsed.get_backend_name()
        self.dialect = "mysql" if kind == "mariadb" else kind
        self.name = _name(parsed)
        self._engines = _KINDS[kind](parsed, pool_size)
        self._here = threading.local()

    @contextmanager
    def writing(self) -> Iterator[Tx]:
        """Open one transaction that writes: it commits when the block ends, and rolls back when it raises.

        Raises:
            StoreUnavailable: if the database is away, busy or full.
            StoreRefused: if it refused a statement.
            RuntimeError: inside another `writing` of the same thread, which would wait for itself.
        """
        if getattr(self._here, "is_writing", False):
            raise RuntimeError("writing() inside writing(): pass the transaction on")
        with self._turn(), translated(self.name), self._engines.writer.begin() as tx:
            self._here.is_writing = True
            try:
                with deferred.deferring(tx):
                    yield tx
            finally:
                self._here.is_writing = False

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        """Open a snapshot to read from; it waits for no writer, and cannot write.

        Raises:
            StoreUnavailable: if the database is away.
            StoreRefused: if it refused a statement.
        """
        with translated(self.name), self._engines.reader.begin() as tx:
            yield tx

    @contextmanager
    def savepoint(self, tx: Tx) -> Iterator[None]:
        """Undo what the block wrote if it raises, and only that; the transaction around it goes on.

        Raises:
            StoreRefused: if the database refused a statement; catch it outside of the block.
        """
        with translated(self.name), deferred.savepoint(tx):
            yield

    def dedicated(self) -> Any:
        """Return a connection of the driver's own kind, for what no transaction can do; whoever asks closes it.

        Raises:
            StoreUnavailable: if the database is away.
        """
        with translated(self.name):
            borrowed = self._engines.writer.raw_connection()
            borrowed.detach()
            return borrowed.dbapi_connection

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engines.writer.dispose()
        self._engines.reader.dispose()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        turns = self._engines.turns
        if turns is None:
            yield
            return
        with turns.turn(self._engines.turn_timeout_s) as is_ours:
            if not is_ours:
                raise StoreUnavailable(self.name, "it is busy")
            yield


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        kind = parsed.get_backend_name()
    except (exc.ArgumentError, ValueError):
        raise ValueError("the database's URL cannot be read") from None
    if kind not in _KINDS:
        raise ValueError(f"{kind} is not among the supported databases: {', '.join(_KINDS)}")
    return parsed


def _name(url: URL) -> str:
    """Say which database it is, without the user and without the query, where passwords may stand too."""
    if url.host is None:
        return f"{url.get_backend_name()}:{url.database}"
    port = f":{url.port}" if url.port else ""
    return f"{url.get_backend_name()}://{url.host}{port}/{url.database}"
