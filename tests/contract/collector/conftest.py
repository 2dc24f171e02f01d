"""The collector on SQLite, on PostgreSQL and on MariaDB."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases import empty_database_url, mariadb_server, postgresql_server
from tests.support.messages import ARRIVAL

from coffer.collector import migrate
from coffer.collector.collector import Collector
from coffer.collector.database import Database

__all__ = ["empty_database_url", "mariadb_server", "postgresql_server"]


@pytest.fixture
def database(empty_database_url: str) -> Iterator[Database]:
    """A new database of the collector's, once of each kind."""
    database = Database(empty_database_url)
    migrate.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def collector(database: Database) -> Collector:
    return Collector(database, lambda: ARRIVAL)


@pytest.fixture
def file_url(tmp_path: Path) -> Iterator[str]:
    """A new database of the collector's in an SQLite file."""
    url = f"sqlite:///{tmp_path}/collector.db"
    database = Database(url)
    migrate.upgrade(database)
    yield url
    database.close()
