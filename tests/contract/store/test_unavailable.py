"""When the database is away: a clear error, no secret in it, and work goes on when it is back."""

import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.support.mariadb_server import MariadbServer
from tests.support.postgresql_server import PostgresqlServer
from tests.support.rows import new_message

from coffer.store import migrate, outbox
from coffer.store.database import Database
from coffer.store.errors import StoreError, StoreRefused, StoreUnavailable

SECRET = "tiger-in-the-tank"

ROOT = Path(__file__).parents[3]

FILL_THE_DISK = """
import resource, signal, sys
from coffer.store import outbox
from coffer.store.database import Database
from coffer.store.errors import StoreUnavailable
from tests.support.rows import new_message
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
database = Database(sys.argv[1])
with database.writing() as tx:
    outbox.append(tx, [new_message()])
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    with database.writing() as tx:
        outbox.append(tx, [new_message(body=b"x" * 100_000) for _ in range(100)])
except StoreUnavailable as error:
    print(error.trouble)
with database.reading() as tx:
    print(outbox.backlog(tx).count)
"""


Server = PostgresqlServer | MariadbServer
SERVERS = [
    pytest.param("postgresql", marks=pytest.mark.postgresql),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]


@pytest.fixture(params=SERVERS)
def server_and_url(request: pytest.FixtureRequest) -> tuple[Server, str]:
    """A server that may be crashed, and a database on it."""
    kind = request.param
    return request.getfixturevalue(f"{kind}_server"), request.getfixturevalue(f"{kind}_url")


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def trouble(database: Database) -> str:
    """Return how the database fails to write and to read, which must be alike; check that it tells no secret."""
    troubles = set()
    for transaction in (database.writing, database.reading):
        with pytest.raises(StoreUnavailable) as failure, transaction() as tx:
            outbox.backlog(tx)
        told = "".join(traceback.format_exception(failure.value)) + repr(failure.value)
        assert SECRET not in told
        assert "SELECT" not in told
        troubles.add(failure.value.trouble)
    assert len(troubles) == 1
    return troubles.pop()


@pytest.mark.parametrize(
    ("scheme", "query"), [("postgresql", f"?sslpassword={SECRET}"), ("mysql", ""), ("mariadb", "")]
)
def test_a_server_that_is_not_there_cannot_be_reached(scheme: str, query: str) -> None:
    with opened(f"{scheme}://coffer:{SECRET}@127.0.0.1:1/coffer{query}") as database:
        assert trouble(database) == "it cannot be reached"
        assert database.name == f"{scheme}://127.0.0.1:1/coffer"


@pytest.mark.postgresql
def test_a_wrong_password_is_not_repeated(postgresql_server: PostgresqlServer) -> None:
    url = postgresql_server.url("postgres").replace(postgresql_server.password, SECRET)
    with opened(url) as database:
        # psycopg gives no code for a refused connection, so the reason cannot be told apart from an absent server.
        assert trouble(database) == "it cannot be reached"


@pytest.mark.mariadb
def test_a_wrong_password_or_name_of_a_mariadb_is_told_apart(mariadb_server: MariadbServer) -> None:
    url = mariadb_server.url("test_none")
    with opened(url.replace(mariadb_server.password, SECRET)) as database:
        assert trouble(database) == "the login was refused"
    with opened(url) as database:
        assert trouble(database) == "there is no such database"


def test_a_server_that_crashes_breaks_the_transaction_and_is_found_again(
    server_and_url: tuple[Server, str],
) -> None:
    server, url = server_and_url
    with opened(url) as database:
        with pytest.raises(StoreUnavailable), database.writing() as tx:  # noqa: PT012
            outbox.append(tx, [new_message()])
            server.kill_and_restart()
            outbox.append(tx, [new_message()])
        # The pool still holds connections to the server that died; they are tried before they are given out.
        with database.writing() as tx:
            outbox.append(tx, [new_message()])
        with database.reading() as tx:
            assert outbox.backlog(tx).count == 1


def test_a_server_that_stops_during_the_commit_is_reported(server_and_url: tuple[Server, str]) -> None:
    server, url = server_and_url
    with opened(url) as database:
        with pytest.raises(StoreUnavailable), database.writing() as tx:  # noqa: PT012
            outbox.append(tx, [new_message()])
            server.kill_and_restart()
        with database.reading() as tx:
            assert outbox.backlog(tx).count == 0


def test_a_directory_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/none/coffer.db") as database:
        assert trouble(database) == "the file cannot be opened"


def test_a_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "coffer.db"
    path.write_bytes(b"#!/bin/sh\n" * 1000)
    with opened(f"sqlite:///{path}") as database:
        assert trouble(database) == "the file is not a database"


def test_a_writer_in_another_process_is_waited_for_but_not_for_ever(sqlite_url: str) -> None:
    path = sqlite_url.removeprefix("sqlite:///")
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as other,
        opened(f"{sqlite_url}?timeout=0.1") as database,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="busy"), database.writing():
            pass
        with database.reading() as tx:
            assert outbox.backlog(tx).count == 0
        other.execute("ROLLBACK")
        with database.writing() as tx:
            outbox.append(tx, [new_message()])


def test_a_full_disk_is_reported_and_leaves_nothing_half(sqlite_url: str) -> None:
    path = sqlite_url.removeprefix("sqlite:///")
    done = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, sqlite_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said, count = done.stdout.splitlines()
    assert said in {"the disk failed", "no space is left"}
    assert count == "1"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_database_without_tables_is_a_refusal_not_an_absence(empty_database_url: str) -> None:
    with (
        opened(empty_database_url) as database,
        pytest.raises(StoreError) as failure,
        database.reading() as tx,
    ):
        outbox.backlog(tx)
    assert not isinstance(failure.value, StoreUnavailable)
    # Messages take a way of their own to the driver.
    with opened(empty_database_url) as database:
        with pytest.raises(StoreRefused) as refusal, database.writing() as tx:
            outbox.append(tx, [new_message(body=SECRET.encode())])
        told = "".join(traceback.format_exception(refusal.value))
        assert SECRET not in told
        assert "INSERT" not in told


@pytest.mark.parametrize(
    "url",
    [
        f"oracle://coffer:{SECRET}@127.0.0.1/coffer",
        f"mysql://coffer:{SECRET}@127.0.0.1/coffer?ssl_ca=/none/{SECRET}",
        f"mysql://coffer:{SECRET}@127.0.0.1/coffer?ssl_wallet={SECRET}",
        f"coffer:{SECRET}@127.0.0.1",
        f"postgresql://coffer:{SECRET}@127.0.0.1:port/coffer",
        "sqlite://",
        "sqlite:///:memory:",
        "",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError) as refusal:
        Database(url)
    assert SECRET not in "".join(traceback.format_exception(refusal.value))


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "coffer.db"
    migrate.upgrade(f"sqlite:///{path}")
    with opened(f"sqlite:///{path}") as database, database.writing() as tx:
        outbox.append(tx, [new_message()])
        modes = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
    assert modes["coffer.db"] == modes["coffer.db-wal"] == 0o600
