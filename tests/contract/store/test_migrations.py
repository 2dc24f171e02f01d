"""Migrations: they lead to the tables that the code knows, once, whoever starts them."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from coffer.store import migrate
from coffer.store.database import Database
from coffer.store.errors import SchemaUnknownError
from coffer.store.tables import METADATA

HEADS = ("announcing_0001", "control_0004")
UPGRADE = "import sys; from coffer.store import migrate; migrate.upgrade(sys.stdin.readline().strip())"


def executed(url: str, statement: str) -> None:
    database = Database(url)
    with database.writing() as tx:
        tx.exec_driver_sql(statement)
    database.close()


def test_migrations_and_metadata_agree(database: Database) -> None:
    with database.writing() as tx:
        # MariaDB has no partial index, so this one is of other columns there (test_mariadb.py).
        options = {
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, *_: name != "ix_runs_open" or database.dialect != "mysql",
            "include_object": lambda _, name, *__: name != "ix_runs_open" or database.dialect != "mysql",
        }
        assert compare_metadata(MigrationContext.configure(tx, opts=options), METADATA) == []


def test_each_branch_has_a_head_of_its_own(empty_database_url: str) -> None:
    assert migrate.current(empty_database_url) == ()
    assert not migrate.is_current(empty_database_url)
    assert migrate.upgrade(empty_database_url) == ()
    assert migrate.current(empty_database_url) == HEADS
    assert migrate.is_current(empty_database_url)


def test_a_second_upgrade_changes_nothing(database_url: str) -> None:
    executed(database_url, "INSERT INTO leases VALUES ('relay', 'a', '2026-01-01', '2026-01-02')")
    assert migrate.upgrade(database_url) == HEADS
    database = Database(database_url)
    with database.reading() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM leases").scalar() == 1
    database.close()


def test_processes_that_upgrade_at_once_do_not_disturb_each_other(empty_database_url: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", UPGRADE], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{empty_database_url}\n".encode())
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    assert migrate.is_current(empty_database_url)


def test_a_database_of_a_newer_coffer_is_left_alone(database_url: str) -> None:
    newer = "UPDATE alembic_version SET version_num = 'control_9999' WHERE version_num = 'control_0004'"
    executed(database_url, newer)
    with pytest.raises(SchemaUnknownError, match="control_9999"):
        migrate.upgrade(database_url)
    assert migrate.current(database_url) == ("announcing_0001", "control_9999")
    assert not migrate.is_current(database_url)


def test_upgrading_says_one_line_and_leaves_the_logging_as_it_was(
    empty_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    names = (None, "alembic", "alembic.runtime.migration", "sqlalchemy", "coffer.store.migrate")

    def configuration() -> list[object]:
        loggers = [logging.getLogger(name) for name in names]
        return [(list(each.handlers), list(each.filters), each.level, each.disabled) for each in loggers]

    caplog.set_level(logging.INFO)
    before = configuration()
    migrate.upgrade(empty_database_url)
    assert [record.name for record in caplog.records] == ["coffer.store.migrate"]
    assert configuration() == before
    caplog.clear()
    migrate.upgrade(empty_database_url)
    assert caplog.records == []


def test_asking_for_the_schema_does_not_make_a_file(tmp_path: Path) -> None:
    assert migrate.current(f"sqlite:///{tmp_path / 'none.db'}") == ()
    assert list(tmp_path.iterdir()) == []


def test_a_path_with_a_percent_sign_is_no_matter(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / '100%s.db'}"
    migrate.upgrade(url)
    assert migrate.is_current(url)
