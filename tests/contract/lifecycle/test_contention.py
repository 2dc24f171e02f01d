"""Two transactions that wait for each other: the database gives one of them up, and an ending is made again."""

import threading
from collections.abc import Iterator

import pytest
from tests.contract.lifecycle.ground import Ground

from coffer.lifecycle.runs import Ending
from coffer.store import instances
from coffer.store.database import Database


@pytest.fixture
def ground(postgresql_url: str) -> Iterator[Ground]:
    """SQLite has one writer, who is in nobody's way."""
    database = Database(postgresql_url)
    yield Ground(database)
    database.close()


@pytest.mark.postgresql
def test_an_ending_that_was_given_up_for_another_transaction_is_made_again(ground: Ground) -> None:
    run = ground.one_begun("instance_restart", ground.has())
    mine, theirs = ground.has(), ground.has()
    held, waits = threading.Event(), threading.Event()
    tries: list[int] = []

    def other() -> None:
        with ground.database.writing() as tx:
            tx.exec_driver_sql("SET LOCAL deadlock_timeout = '60s'")  # so that we are the one to be given up
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
