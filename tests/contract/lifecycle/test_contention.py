"""Two transactions that wait for each other: the database gives one of them up, and an ending is made again."""

import threading
from collections.abc import Iterator

import pytest
from tests.contract.lifecycle.ground import Ground
from tests.support.waiting import wait_for

from coffer.catalogue.errors import GuestFailed
from coffer.lifecycle.failures import Failure
from coffer.lifecycle.runs import Ending
from coffer.store import instances
from coffer.store.database import Database, Tx
from coffer.store.errors import StoreContended
from coffer.store.instances import Instance


@pytest.fixture(
    params=[
        pytest.param("postgresql_url", marks=pytest.mark.postgresql),
        pytest.param("mariadb_url", marks=pytest.mark.mariadb),
    ]
)
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """SQLite has one writer, who is in nobody's way."""
    database = Database(request.getfixturevalue(request.param))
    yield Ground(database)
    database.close()


def outlast_others(ground: Ground, tx: Tx, instance: Instance) -> None:
    """Let it be the other transaction that is given up when this one and it wait for each other."""
    if ground.database.dialect == "postgresql":
        tx.exec_driver_sql("SET LOCAL deadlock_timeout = '60s'")
        return
    for number in range(100):  # InnoDB gives up the one that has done less
        instances.update(tx, instance.id, instance.updated_at, name=f"name {number}")


def test_an_ending_that_was_given_up_for_another_transaction_is_made_again(ground: Ground) -> None:
    run = ground.one_begun("instance_restart", ground.has())
    mine, theirs = ground.has(), ground.has()
    held, waits = threading.Event(), threading.Event()
    tries: list[int] = []

    def other() -> None:
        with ground.database.writing() as tx:
            outlast_others(ground, tx, theirs)
            instances.update(tx, theirs.id, run.started_at, name="theirs")
            held.set()
            assert waits.wait(10)
            instances.update(tx, mine.id, run.started_at, name="theirs")

    def change(ending: Ending) -> None:
        tries.append(1)
        instances.update(ending.tx, mine.id, ending.now, name="ours")
        assert held.wait(10)
        waits.set()
        instances.update(ending.tx, theirs.id, ending.now, name="ours")

    thread = threading.Thread(target=other)
    thread.start()
    ground.lifecycle(patience_s=0).end(run.run_id, change)
    thread.join(30)

    assert len(tries) == 2
    assert ground.open_runs() == []
    with ground.database.reading() as tx:
        rows = [instances.get(tx, each.id) for each in (mine, theirs)]
    assert [row.name for row in rows if row is not None] == ["ours", "ours"]


def test_an_ending_for_which_others_were_in_the_way_too_often_is_owed(ground: Ground) -> None:
    run = ground.one_begun("instance_restart", ground.has())
    failure, in_the_way = (
        Failure.of(GuestFailed(reason="no")),
        StoreContended("books", "others were in the way"),
    )
    debts = ground.lifecycle()._debts

    with pytest.raises(StoreContended), debts.noted([run.run_id]):
        raise in_the_way
    assert ground.open_runs() == [run.run_id], "a beginning that has not happened for sure owes nothing"
    with pytest.raises(StoreContended), debts.noted([run.run_id], failure):
        raise in_the_way

    wait_for(lambda: ground.open_runs() == [], 60, "the ending")
    assert ground.told(run) == ["instance_restart.start", "instance_restart.error"]
