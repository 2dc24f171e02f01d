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


@pytest.mark.postgresql
def test_who_has_no_patience_owes_the_ending_and_writes_it_when_the_database_is_back(
    crashing: Ground, own_server: PostgresqlServer
) -> None:
    """The watchdog looks after the runs of the dead only: without it the run would be open until its deadline."""
    run, other = (crashing.one_begun("instance_restart", crashing.has()) for _ in range(2))
    hasty = crashing.lifecycle()
    own_server.stop()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            hasty.fail(run.run_id, GuestFailed(reason="no"))

    own_server.start()

    wait_for(lambda: crashing.told(run)[1:] == ["instance_restart.error"], 60, "the ending")
    assert crashing.open_runs() == [other.run_id]


@pytest.mark.postgresql
def test_runs_that_have_begun_unnoticed_are_ended(crashing: Ground, own_server: PostgresqlServer) -> None:
    """A connection that breaks during the commit leaves it open whether the runs have begun."""
    run = crashing.one_begun("instance_restart", crashing.has())
    lifecycle, own_server_is_gone = crashing.lifecycle(), StoreUnavailable("books", "the connection was lost")

    def lose_the_answer() -> None:
        with lifecycle._debts.noted([run.run_id, "never-begun"]):
            raise own_server_is_gone

    with pytest.raises(StoreUnavailable):
        lose_the_answer()

    wait_for(lambda: crashing.told(run)[1:] == ["instance_restart.error"], 60, "the ending")


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
