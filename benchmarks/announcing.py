"""What it costs a request to announce, for the caller: what it adds to a transaction that there is anyway."""

import statistics
import uuid
from collections.abc import Sequence
from functools import partial

from benchmarks.events import ANNOUNCER, now, start_and_end
from benchmarks.lab import Lab
from benchmarks.measuring import Goal, Result, Sample, Variant, compared, interleave, timed
from coffer.lifecycle.announcer import Announcement
from coffer.store import leases, outbox
from coffer.store.database import Database

RUNS = 300
PEER_RUNS = 60
_CPU = "CPU of it, against upstream with driver=noop"


def measure(lab: Lab, rounds: int) -> Result:
    """Compare with upstream's own classes, on a durable queue and on no queue at all."""
    durable, noop = lab.peer("durable"), lab.peer("noop", driver="noop")
    theirs = Variant("durable", lambda: durable.sample("pairs", runs=PEER_RUNS))
    nothing = Variant("noop", lambda: noop.sample("pairs", runs=RUNS))
    ours = {kind: Variant(kind, partial(_announced, database)) for kind, database in lab.databases().items()}
    interleave([theirs, nothing, *ours.values()], rounds)
    topic = "Announcing in a request"
    limits = {"SQLite": 0.1, "PostgreSQL": 1 / 3}
    rows = []
    for kind, limit in limits.items():
        goal = Goal(round(limit, 3))
        rows.append(
            compared(topic, f"{kind}: time, against upstream on a durable queue", goal, ours[kind], theirs)
        )
        rows.append(
            compared(
                topic, f"{kind}: {_CPU}", Goal(1.0), ours[kind], nothing, of=lambda sample: sample.cpu_us
            )
        )
    return Result(rows)


def _announced(database: Database) -> Sample:
    """Announce the events of many runs, each in a transaction that changes something; return what that added to it."""
    runs = [start_and_end(str(uuid.uuid4())) for _ in range(RUNS)]
    plain, announced = [], []
    for event in (event for run in runs for event in run):
        plain.append(timed(partial(_changed, database)))
        announced.append(timed(partial(_changed, database, event)))
    with database.writing() as tx:
        outbox.delete(tx, [row.id for row in outbox.head(tx, 4 * RUNS)])
    return Sample(
        _added([sample.wall_us for sample in plain], [sample.wall_us for sample in announced]),
        _added([sample.cpu_us for sample in plain], [sample.cpu_us for sample in announced]),
    )


def _changed(database: Database, event: Announcement | None = None) -> int:
    """Change a row, and perhaps announce it; return how many transactions that was."""
    with database.writing() as tx:
        leases.acquire(tx, "bench", "bench", now(), ttl_s=60)
        if event is not None:
            ANNOUNCER.announce(tx, [event], now())
    return 1


def _added(plain: Sequence[float], announced: Sequence[float]) -> float:
    return statistics.median(announced) - statistics.median(plain)
