"""Whoever knows how a run ended does not forget it over a restart of the database."""

import threading
from collections.abc import Iterator

import pytest
from tests.contract.lifecycle.ground import Ground
from tests.support.postgresql_server import PostgresqlServer, running_server
from tests.support.waiting import wait_for

from coffer.catalogue.errors import GuestFailed
from coffer.store import migrate
from coffer.store.database import Database
from coffer.store.errors import StoreUnavailable


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresqlServer]:
    """A server that these tests may crash."""
    with running_server() as server:
        yield server


@pytest.fixture
def crashing(own_server: PostgresqlServer) -> Iterator[Ground]:
    """A database on it."""
    name = own_server.create_database()
    migrate.upgrade(own_server.url(name))
    database = Database(own_server.url(name))
    yield Ground(database)
    database.close()


@pytest.mark.postgresql
def test_an_ending_waits_for_a_database_that_is_down(crashing: Ground, own_server: PostgresqlServer) -> None:
    good, bad = (crashing.one_begun("instance_restart", crashing.has()) for _ in range(2))
    patient = crashing.lifecycle(patience_s=60)
    own_server.stop()
    threads = [
        threading.Thread(target=patient.end, args=(good.run_id,)),
        threading.Thread(target=patient.fail, args=(bad.run_id, GuestFailed(reason="no"))),
    ]
    for thread in threads:
        thread.start()
    with pytest.raises(StoreUnavailable):
        crashing.open_runs()

    own_server.start()
    for thread in threads:
        thread.join(60)

    assert crashing.open_runs() == []
    assert crashing.told(good) == ["instance_restart.start", "instance_restart.end"]
    assert crashing.told(bad) == ["instance_restart.start", "instance_restart.error"]


def test_an_ending_waits_for_a_database_that_is_busy(sqlite_url: str) -> None:
    ground = Ground(Database(f"{sqlite_url}?timeout=0.05"))
    run = ground.one_begun("instance_restart", ground.has())
    patient = ground.lifecycle(patience_s=60)
    other = Database(sqlite_url)
    ending = threading.Thread(target=patient.end, args=(run.run_id,))
    with other.writing():
        ending.start()
        with pytest.raises(StoreUnavailable):
            ground.lifecycle().end(run.run_id)
    ending.join(60)

    wait_for(lambda: ground.open_runs() == [], 1, "the run to end")
    assert ground.told() == ["instance_restart.start", "instance_restart.end"]
    ground.database.close()
    other.close()


def test_a_call_of_the_api_does_not_wait(sqlite_url: str) -> None:
    """Its caller waits for an answer, and can ask again."""
    ground = Ground(Database(f"{sqlite_url}?timeout=0.05"))
    instance = ground.has()
    other = Database(sqlite_url)
    with other.writing(), pytest.raises(StoreUnavailable):
        ground.begun("instance_restart", instance)
    assert ground.told() == []
    ground.database.close()
    other.close()
