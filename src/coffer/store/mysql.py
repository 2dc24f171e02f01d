"""MariaDB or MySQL as the control plane's database, through PyMySQL."""

from collections.abc import Sequence

from sqlalchemy import URL, Engine, create_engine, event

from coffer import mysql_session
from coffer.store.engines import Engines

_POOL_TIMEOUT_S = 30


def engines(url: URL, pool_size: int) -> Engines:
    """Return a writer (READ COMMITTED) and a reader (a snapshot, read only), each with connections of its own.

    To switch one connection between the two would cost four statements a transaction.

    Raises:
        ValueError: if a file that the URL names for TLS cannot be used.
    """
    return Engines(
        writer=_engine(url, pool_size, mysql_session.WRITING),
        reader=_engine(url, pool_size, mysql_session.READING),
    )


def _engine(url: URL, pool_size: int, settings: Sequence[str]) -> Engine:
    engine = create_engine(
        url.set(drivername=mysql_session.DRIVER, query=mysql_session.plain_query(url.query)),
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=pool_size // 2,
        pool_timeout=_POOL_TIMEOUT_S,
        pool_pre_ping=True,
        connect_args=mysql_session.connect_arguments(url.query),
    )
    event.listen(engine, "connect", mysql_session.configure(settings))
    event.listen(engine, "handle_error", mysql_session.let_go_when_undone)
    return engine
