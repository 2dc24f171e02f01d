"""Brings a database to the tables that this coffer knows, by the migrations in `migrations/`."""

from __future__ import annotations

import logging
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from coffer.mysql_session import SCHEMES
from coffer.store.database import Database, Tx
from coffer.store.errors import SchemaUnknownError, StoreContended

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from alembic.config import Config
    from alembic.script import ScriptDirectory

LOG = logging.getLogger(__name__)

_FOLDER = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 0x636F66666572  # "coffer"
_JOURNAL = "coffer_upgrade"
_UPGRADE_S = 24 * 3600
"""How long MariaDB may take to rebuild a table; other statements have a minute."""
_TALKATIVE = ("alembic.runtime.migration", "alembic.runtime.plugins")


def upgrade(url: str) -> tuple[str, ...]:
    """Bring the database to the newest schema; return the revisions it had before.

    In one transaction; on MariaDB, which cannot change tables in one, so that an upgrade that was interrupted is
    gone on with. It may be called at every start, and by several processes at once: one works, the others wait
    and find it done.

    Raises:
        StoreUnavailable: if the database is away or busy.
        SchemaUnknownError: if a newer coffer has been here; nothing is changed.
    """
    with _opened(url) as database, _quiet():
        with database.reading() as tx:
            before = _revisions(tx)
        if before != _heads(database, before):
            with database.writing() as tx:
                before = _upgrade(database, tx)
    return before


def current(url: str) -> tuple[str, ...]:
    """Return the revisions that the database has, one a branch; none if it is empty or its file is not there.

    Raises:
        StoreUnavailable: if the database is away.
    """
    file = sa.make_url(url).database if url.startswith("sqlite") else None
    if file is not None and not Path(file).exists():
        return ()
    with _opened(url) as database, _quiet(), database.reading() as tx:
        return _revisions(tx)


class Schema(StrEnum):
    """How the tables of a database stand to those that this coffer knows."""

    CURRENT = "current"
    OLDER = "older"
    """It lacks something; `upgrade` brings it."""
    NEWER = "newer"
    """A newer coffer has been here. Migrations only add, so that this one can go on working with it."""


def schema(url: str) -> Schema:
    """Return how the database stands to this version.

    Raises:
        StoreUnavailable: if the database is away.
    """
    with _quiet():
        scripts, found = _scripts(_config()), set(current(url))
        heads = set(scripts.get_heads())
        unknown = found - {script.revision for script in scripts.walk_revisions()}
    if found == heads:
        return Schema.CURRENT
    # Each branch of the database has a revision; whichever is none of our heads must be one that is still to come.
    is_newer = unknown and len(found) >= len(heads) and found - unknown <= heads
    return Schema.NEWER if is_newer else Schema.OLDER


def is_current(url: str) -> bool:
    """True if the database has the newest schema.

    Raises:
        StoreUnavailable: if the database is away.
    """
    with _quiet():
        return current(url) == tuple(sorted(_scripts(_config()).get_heads()))


def _upgrade(database: Database, tx: Tx) -> tuple[str, ...]:
    from alembic import command

    with _alone(database, tx):
        before = _revisions(tx)
        heads = _heads(database, before)
        if before == heads:
            return before
        config = _config(tx)
        if database.dialect == "mysql":
            from coffer.store.resumable import Journal

            missing = list(_scripts(config).iterate_revisions("heads", before or "base", implicit_base=True))
            names = [script.revision for script in reversed(missing)]
            Journal(tx, _JOURNAL).run(names, lambda name: command.upgrade(config, name))
        else:
            command.upgrade(config, "heads")
    LOG.info("database upgraded database=%s from=%s to=%s", database.name, "+".join(before), "+".join(heads))
    return before


def _alone(database: Database, tx: Tx) -> AbstractContextManager[None]:
    """Let nobody else upgrade meanwhile; in SQLite whoever writes is alone."""
    if database.dialect == "mysql":
        from coffer.store.resumable import one_at_a_time

        busy = StoreContended(database.name, "another process upgrades it")
        return one_at_a_time(tx, "control", busy=busy)
    if database.dialect == "postgresql":
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
    return nullcontext()


def _heads(database: Database, before: tuple[str, ...]) -> tuple[str, ...]:
    scripts = _scripts(_config())
    unknown = set(before) - {script.revision for script in scripts.walk_revisions()}
    if unknown:
        names = ", ".join(sorted(unknown))
        raise SchemaUnknownError(f"The database {database.name} was made by a newer coffer ({names}).")
    return tuple(sorted(scripts.get_heads()))


def _revisions(tx: Tx) -> tuple[str, ...]:
    from alembic.runtime.migration import MigrationContext

    return tuple(sorted(MigrationContext.configure(tx).get_current_heads()))


def _scripts(config: Config) -> ScriptDirectory:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(config)


def _config(tx: Tx | None = None) -> Config:
    from alembic.config import Config

    config = Config(attributes={"connection": tx})
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    database = Database(_unhurried(url), pool_size=1)
    try:
        yield database
    finally:
        database.close()


def _unhurried(url: str) -> str:
    if not url.startswith(SCHEMES):
        return url
    return (
        sa.make_url(url)
        .update_query_dict({"read_timeout": str(_UPGRADE_S)})
        .render_as_string(hide_password=False)
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Alembic's running commentary out of the log, without touching how logging is configured."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    for logger in loggers:
        logger.addFilter(_is_serious)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_serious)


def _is_serious(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
