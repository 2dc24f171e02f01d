"""`kill -9` in the middle of a transaction: all of it is there, or nothing."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.rows import NOON, new_instance
from tests.support.waiting import wait_for

from coffer.catalogue.states import InstanceState
from coffer.store import instances, outbox, runs
from coffer.store.database import Database

ROOT = Path(__file__).parents[3]

WRITER = """
import sys
from tests.support.rows import NOON, new_message, new_run
from coffer.store import instances, outbox, runs
from coffer.store.database import Database

url, instance_id, mode = (sys.stdin.readline().strip() for _ in range(3))
database = Database(url)
while True:
    with database.writing() as tx:
        run = new_run(instance_id=instance_id)
        runs.insert(tx, run)
        instances.move(tx, instance_id, {"ACTIVE"}, "REBOOT", NOON)
        outbox.append(tx, [new_message(run_id=run.run_id, body=b"x" * 50_000)])
        if mode == "pause":
            print("in the middle", flush=True)
            sys.stdin.readline()
    with database.writing() as tx:
        runs.end(tx, run.run_id, NOON, ending="end")
        instances.move(tx, instance_id, {"REBOOT"}, "ACTIVE", NOON)
        outbox.append(tx, [new_message(run_id=run.run_id)])
"""


@contextmanager
def writer(url: str, instance_id: str, mode: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdin is not None
        process.stdin.write(f"{url}\n{instance_id}\n{mode}\n")
        process.stdin.flush()
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_a_writer_killed_in_mid_transaction_leaves_nothing(database: Database, database_url: str) -> None:
    instance = new_instance(state=InstanceState.ACTIVE)
    with database.writing() as tx:
        instances.insert(tx, instance)
    with writer(database_url, instance.id, "pause") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in the middle\n"
    with database.reading() as tx:
        assert instances.get(tx, instance.id) == instance
        assert runs.open_runs(tx) == []
        assert outbox.backlog(tx).count == 0
    later = NOON + timedelta(seconds=1)
    with database.writing() as tx:  # and it holds no lock
        assert instances.move(tx, instance.id, {"ACTIVE"}, InstanceState.REBOOT, later)
        moved = replace(instance, state=InstanceState.REBOOT, updated_at=later)
        assert instances.get(tx, instance.id) == moved


@pytest.mark.parametrize("after", [1, 40, 75])
def test_a_writer_killed_at_any_moment_leaves_state_run_and_message_in_agreement(
    database: Database, database_url: str, after: int
) -> None:
    instance = new_instance(state=InstanceState.ACTIVE)
    with database.writing() as tx:
        instances.insert(tx, instance)

    def written() -> int:
        with database.reading() as tx:
            return outbox.backlog(tx).count

    with writer(database_url, instance.id, "go on"):
        wait_for(lambda: written() >= after, 60, f"{after} messages")
    with database.reading() as tx:
        still_open = runs.open_runs(tx)
        found = instances.get(tx, instance.id)
        messages = outbox.head(tx, 10_000)
    assert found is not None
    assert found.state == ("REBOOT" if still_open else "ACTIVE")
    told: dict[str | None, int] = {}
    for message in messages:
        told[message.run_id] = told.get(message.run_id, 0) + 1
    assert {run_id for run_id, count in told.items() if count == 1} == {run.run_id for run in still_open}
    assert set(told.values()) <= {1, 2}
