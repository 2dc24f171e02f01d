"""What a caller notices of a broker in trouble: the slowest calls, with the broker up, down, frozen and in alarm.

The call is the beginning of a run: the run, its start event and the commit. `coffer relay` works beside it.
"""

import time
import uuid
from functools import partial

from tests.support.deployment import COFFER
from tests.support.waiting import wait_for

from benchmarks.events import ANNOUNCER
from benchmarks.lab import Lab
from benchmarks.measuring import Goal, Result, Sample, Variant, compared, percentile
from coffer.catalogue.operations import OPERATIONS
from coffer.lifecycle.runs import Lifecycle
from coffer.store import outbox
from coffer.store.database import Database
from coffer.wire.context import TroveContext

CALLS = 800
MOODS = ("up", "down", "frozen", "in alarm")


def measure(lab: Lab, rounds: int) -> Result:
    """Compare the 99th percentile of each mood with that of a broker that is up."""
    url = lab.database_url("PostgreSQL")
    lab.run("trouble-relay", COFFER, "relay", "--config-file", lab.coffer_config("trouble", url))
    database = Database(url)
    lab.stack.callback(database.close)
    lifecycle = Lifecycle(database, ANNOUNCER)
    _began(lifecycle)
    wait_for(partial(_is_empty, database), 240, "the relay")
    moods = {mood: Variant(mood, partial(_slowest, lifecycle)) for mood in MOODS}
    for _ in range(rounds):
        _round(lab, database, moods)
    return Result(
        [
            compared(
                "Calls while the broker of notifications is in trouble (PostgreSQL)",
                f"p99 of a call with the broker {mood}, against up",
                Goal(1.2),
                moods[mood],
                moods["up"],
            )
            for mood in MOODS[1:]
        ]
    )


def _round(lab: Lab, database: Database, moods: dict[str, Variant]) -> None:
    node = lab.node
    _take(moods["up"])
    node.freeze()
    _take(moods["frozen"])
    node.thaw()
    node.control("set_vm_memory_high_watermark", "absolute", "1MB")
    _take(moods["in alarm"])
    node.kill()
    _take(moods["down"])
    node.start()
    wait_for(partial(_is_empty, database), 240, "the backlog to be gone")


def _take(variant: Variant) -> None:
    variant.samples.append(variant.measure())


def _slowest(lifecycle: Lifecycle) -> Sample:
    for _ in range(20):
        _began(lifecycle)
    took_us = [_began(lifecycle) for _ in range(CALLS)]
    return Sample(percentile(took_us, 99))


def _began(lifecycle: Lifecycle) -> float:
    context = TroveContext(
        project_id="acme", user_id="alice", roles=["member"], client_ip="127.0.0.1:1", overwrite=False
    )
    instance_id = str(uuid.uuid4())
    began_s = time.perf_counter()
    with lifecycle.begin(
        context,
        OPERATIONS["database_create"],
        instance_id=instance_id,
        items=[{"instance_id": instance_id, "dbname": "shop"}],
    ):
        pass
    return (time.perf_counter() - began_s) * 1e6


def _is_empty(database: Database) -> bool:
    with database.reading() as tx:
        return outbox.backlog(tx).count == 0
