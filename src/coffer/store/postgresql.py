"""PostgreSQL as the control plane's database, through psycopg 3."""

from sqlalchemy import URL, create_engine

from coffer.store.engines import Engines

_CONNECT_ARGS: dict[str, str | int] = {
    "application_name": "coffer",
    "connect_timeout": 5,  # s
    "keepalives_idle": 30,  # s
    # A peer that vanished must not hold a thread for the kernel's quarter of an hour.
    "tcp_user_timeout": 30_000,  # ms
}
_POOL_TIMEOUT_S = 30


def engines(url: URL, pool_size: int) -> Engines:
    """Return a writer (READ COMMITTED) and a reader (a snapshot, read only) on one pool.

    A compare-and-set needs READ COMMITTED: the loser waits for the winner and then finds the row changed,
    where a higher level would fail its whole transaction.
    """
    given = {key: value for key, value in _CONNECT_ARGS.items() if key not in url.query}
    writer = create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        pool_size=pool_size,
        max_overflow=2 * pool_size,
        pool_timeout=_POOL_TIMEOUT_S,
        pool_pre_ping=True,
        connect_args=given,
    )
    reader = writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return Engines(writer=writer, reader=reader)
