"""What it costs a request to announce, for the caller: a row in the transaction that it has open anyway."""

import uuid
from functools import partial

from benchmarks.events import ANNOUNCER, now, start_and_end
from benchmarks.lab import Lab
from benchmarks.measuring import Goal, Result, Sample, Variant, compared, interleave, timed
from coffer.store import outbox
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
    """Write the events of many runs, a call of the announcer each, into one transaction; time these calls only."""
    runs = [start_and_end(str(uuid.uuid4())) for _ in range(RUNS)]

    def work() -> int:
        for run in runs:
            for event in run:
                ANNOUNCER.announce(tx, [event], now())
        return 2 * RUNS

    with database.writing() as tx:
        sample = timed(work)
        outbox.delete(tx, [row.id for row in outbox.head(tx, 4 * RUNS)])
    return sample
