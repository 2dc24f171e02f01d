"""The databases on which the lifecycle's guarantees are tested, and a taskmanager's lifecycle on them."""

import pytest
from tests.contract.lifecycle.ground import Ground
from tests.support.audits import Ledger
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

from coffer.store.database import Database

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


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def ground(database: Database) -> Ground:
    """A fresh database, once of each kind, at noon."""
    return Ground(database)
