"""Brings the collector's database to the schema that this version needs."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from coffer.collector.database import CollectorDatabaseError, Database, Tx, metadata
from coffer.store.resumable import Journal, one_at_a_time

VERSION_TABLE = "collector_version"
"""Not Alembic's usual name: an operator may keep the collector's tables in a database that has others."""

_JOURNAL = "collector_upgrade"
_ADVISORY_LOCK = 0x636F6C6C656374  # "collect"


def upgrade(database: Database) -> None:
    """Create or upgrade the tables, if needed; two processes may do it at once, and one may have been interrupted."""
    config = _config()
    with _quiet(), database.upgrading() as tx, _alone(database, tx):
        config.attributes["connection"] = tx
        if database.dialect != "mysql":
            command.upgrade(config, "head")
            return
        before = _context(tx).get_current_heads()
        missing = list(ScriptDirectory.from_config(config).iterate_revisions("head", before or "base"))
        if missing:
            names = [script.revision for script in reversed(missing)]
            Journal(tx, _JOURNAL).run(names, lambda name: command.upgrade(config, name))


def _alone(database: Database, tx: Tx) -> AbstractContextManager[None]:
    """Let nobody else upgrade meanwhile; in SQLite whoever writes is alone."""
    if database.dialect == "mysql":
        busy = CollectorDatabaseError("another process upgrades it")
        return one_at_a_time(tx, "collector", busy=busy)
    if database.dialect == "postgresql":
        tx.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
    return nullcontext()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Alembic's running commentary out of the log of a service that merely starts."""
    logger = logging.getLogger("alembic.runtime.migration")
    logger.addFilter(_is_serious)
    try:
        yield
    finally:
        logger.removeFilter(_is_serious)


def _is_serious(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING


def is_current(database: Database) -> bool:
    """True when the tables have the schema that this version knows."""
    with database.reading() as tx:
        return (
            _context(tx).get_current_revision() == ScriptDirectory.from_config(_config()).get_current_head()
        )


def differences(database: Database) -> list[object]:
    """Where the tables are not what the code says of them; empty if they agree."""
    with database.reading() as tx:
        return list(compare_metadata(_context(tx), metadata))


def _context(tx: Tx) -> MigrationContext:
    return MigrationContext.configure(tx, opts={"version_table": VERSION_TABLE})


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
