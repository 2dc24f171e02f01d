"""The collector on SQLite and, where a server is at hand, on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.messages import ARRIVAL

from coffer.collector import migrate
from coffer.collector.collector import Collector
from coffer.collector.database import Database


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/collector.db"


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    database = Database(sqlite_url)
    migrate.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def collector(database: Database) -> Collector:
    return Collector(database, lambda: ARRIVAL)
