"""Fresh, migrated databases for tests: a SQLite file, or a database on a private PostgreSQL or MariaDB server.

Use in a conftest.py: `from tests.support.databases import database, database_url, postgresql_server, ...` (what is not
imported there does not exist for pytest) and list the names in `__all__`. `database` and `database_url` run a test
once for each kind; `sqlite_url`, `postgresql_url` and `mariadb_url` give one of them.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.mariadb_server import MariadbServer, running_mariadb
from tests.support.postgresql_server import PostgresqlServer, running_server

from coffer.store import migrate
from coffer.store.database import Database

__all__ = [
    "database",
    "database_url",
    "empty_database_url",
    "mariadb_server",
    "mariadb_template",
    "mariadb_url",
    "postgresql_server",
    "postgresql_template",
    "postgresql_url",
    "sqlite_template",
    "sqlite_url",
]

KINDS = [
    pytest.param("sqlite"),
    pytest.param("postgresql", marks=pytest.mark.postgresql),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy: migrating takes 50 ms, copying one."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh migrated SQLite database."""
    path = tmp_path / "coffer.db"
    shutil.copy2(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """A private server, started at its first use and killed at the end of the session."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: PostgresqlServer) -> str:
    """The name of a migrated database to copy."""
    name = postgresql_server.create_database()
    migrate.upgrade(postgresql_server.url(name))
    return name


@pytest.fixture
def postgresql_url(postgresql_server: PostgresqlServer, postgresql_template: str) -> Iterator[str]:
    """A fresh migrated PostgreSQL database, dropped afterwards."""
    name = postgresql_server.create_database(template=postgresql_template)
    yield postgresql_server.url(name)
    postgresql_server.drop_database(name)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariadbServer]:
    """A private server, started at its first use and killed at the end of the session."""
    with running_mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_template(mariadb_server: MariadbServer) -> str:
    """The name of a migrated database to copy."""
    name = mariadb_server.create_database()
    migrate.upgrade(mariadb_server.url(name))
    return name


@pytest.fixture
def mariadb_url(mariadb_server: MariadbServer, mariadb_template: str) -> Iterator[str]:
    """A migrated MariaDB database without rows, emptied afterwards."""
    name = mariadb_server.copy_database(mariadb_template)
    yield mariadb_server.url(name)
    mariadb_server.give_back(name, mariadb_template)


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh migrated database, once of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=KINDS)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database that has no tables yet, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgresqlServer | MariadbServer = request.getfixturevalue(f"{request.param}_server")
    name = server.create_database()
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh migrated database, once of each kind."""
    opened = Database(database_url, pool_size=20)
    yield opened
    opened.close()
