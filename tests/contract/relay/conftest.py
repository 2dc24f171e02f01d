"""An outbox on real databases, a broker that fails on command, and a time that only the test moves."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.databases import (
    database,
    database_url,
    mariadb_server,
    mariadb_template,
    mariadb_url,
    postgresql_server,
    postgresql_template,
    postgresql_url,
    sqlite_template,
    sqlite_url,
)
from tests.support.publishers import MemoryBroker, MemoryPublisher, PipelinedMemoryPublisher

from coffer.relay.relay import Relay
from coffer.store import outbox
from coffer.store.database import Database
from coffer.store.outbox import OutboxRow, Pending

__all__ = [
    "database",
    "database_url",
    "mariadb_server",
    "mariadb_template",
    "mariadb_url",
    "postgresql_server",
    "postgresql_template",
    "postgresql_url",
    "sqlite_template",
    "sqlite_url",
]

BEGINNING = datetime(2026, 11, 22, 8, tzinfo=UTC)


class Clock:
    """Wall clock and monotonic clock, both moved by hand."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.passed_s)

    def monotonic(self) -> float:
        return 1000.0 + self.passed_s

    def advance(self, seconds: float) -> None:
        self.passed_s += seconds


class Outbox:
    """The outbox, seen by whoever writes to it and whoever looks what is left."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def write(self, *messages: tuple[str | None, str]) -> None:
        """Append (run_id, name) in one transaction; the body is the name."""
        rows = [
            OutboxRow(
                run_id=run_id, event_type="x", severity="info", created_at=BEGINNING, body=name.encode()
            )
            for run_id, name in messages
        ]
        with self.database.writing() as tx:
            outbox.append(tx, rows)

    def left(self) -> list[str]:
        """The names of what still waits, in order."""
        return [row.body.decode() for row in self.pending()]

    def pending(self) -> list[Pending]:
        with self.database.reading() as tx:
            return outbox.head(tx, 1_000_000)


@pytest.fixture
def box(database: Database) -> Outbox:
    return Outbox(database)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture(params=[MemoryPublisher, PipelinedMemoryPublisher], ids=["in waves", "pipelined"])
def new_publisher(request: pytest.FixtureRequest) -> Callable[[MemoryBroker], MemoryPublisher]:
    """Both ways of the relay keep the same promises."""
    kind: type[MemoryPublisher] = request.param
    return kind


@pytest.fixture
def new_relay(
    database: Database,
    broker: MemoryBroker,
    clock: Clock,
    new_publisher: Callable[[MemoryBroker], MemoryPublisher],
) -> Callable[..., Relay]:
    def make(holder: str = "relay-1", batch_size: int = 500) -> Relay:
        return Relay(
            database,
            new_publisher(broker),
            holder,
            clock.now,
            batch_size=batch_size,
            monotonic=clock.monotonic,
        )

    return make
