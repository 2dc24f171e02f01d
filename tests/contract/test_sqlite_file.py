"""An SQLite file that several connections create at the same moment."""

import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from coffer.sqlite_file import create_private, use_write_ahead_log

CONNECTIONS = 6
FILES = 40  # Without another attempt, one file in five fails on two cores.


def _all_at_once(work: Callable[[], None]) -> list[BaseException]:
    failures: list[BaseException] = []
    together = threading.Barrier(CONNECTIONS)

    def one() -> None:
        try:
            together.wait()
            work()
        except BaseException as error:  # noqa: BLE001 - returned
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_a_new_file_may_be_opened_by_several_at_once(tmp_path: Path) -> None:
    for number in range(FILES):
        path = tmp_path / f"{number}.db"

        def make(path: Path = path) -> None:
            create_private(path)
            connection = sqlite3.connect(path, timeout=30, isolation_level=None)
            try:
                use_write_ahead_log(connection, patience_s=30)
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
                connection.execute("INSERT INTO notes VALUES ('here')")
                connection.execute("COMMIT")
            finally:
                connection.close()

        assert _all_at_once(make) == []
        reader = sqlite3.connect(path)
        try:
            assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert reader.execute("SELECT count(*) FROM notes").fetchone() == (CONNECTIONS,)
        finally:
            reader.close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_stays_locked_is_told_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "locked.db"
    owner = sqlite3.connect(path, isolation_level=None)
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        owner.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            use_write_ahead_log(other, patience_s=0.05)
    finally:
        owner.close()
        other.close()


def test_a_file_that_is_no_database_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader, " * 100)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        with pytest.raises(sqlite3.DatabaseError, match="not a database"):
            use_write_ahead_log(connection, patience_s=300)
    finally:
        connection.close()
    assert path.read_text().startswith("Dear reader")


def test_a_private_file_is_not_made_where_there_is_no_directory(tmp_path: Path) -> None:
    create_private(tmp_path / "missing" / "x.db")
    assert list(tmp_path.iterdir()) == []
