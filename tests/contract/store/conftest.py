"""The databases on which the store's contract is tested."""

from tests.support.databases import (
    database,
    database_url,
    empty_database_url,
    mariadb_server,
    mariadb_template,
    mariadb_url,
    postgresql_server,
    postgresql_template,
    postgresql_url,
    sqlite_template,
    sqlite_url,
)

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
