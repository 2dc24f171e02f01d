"""What a backlog costs: the relay's database work an event with much before it, and with an old snapshot held open.

The broker is left out (it confirms at once), since its share is the same and would hide the difference.
"""

from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa  # noqa: TID251 - it fills tables faster than the store wants to

from benchmarks.events import now
from benchmarks.lab import Lab
from benchmarks.measuring import Goal, Result, Row, Sample, Variant, compared, interleave, timed
from benchmarks.relaying import messages
from coffer.relay.relay import Relay
from coffer.store.database import Database
from coffer.wire.publisher import Outgoing

LARGE, CARRIED = 1_000_000, 10_000
_FILL = {
    "postgresql": "SELECT n FROM generate_series(1, :count) AS n",
    "sqlite": "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :count) SELECT n FROM s",
}


class _Landed:
    def __init__(self, ids: frozenset[int]) -> None:
        self._ids = ids

    def land(self) -> frozenset[int]:
        """Return all."""
        return self._ids


class AtOnce:
    """A publisher whose broker confirms at once."""

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[int]:
        """Confirm."""
        return frozenset(message.id for message in batch)

    def send(self, batch: Sequence[Outgoing]) -> _Landed:
        """Confirm."""
        return _Landed(self.publish(batch))

    def close(self) -> None:
        """There is nothing to close."""


def measure(lab: Lab, rounds: int) -> Result:
    """Compare 10,000 with 1,000,000 rows on both databases, and on PostgreSQL with a snapshot that sees all of them."""
    rows: list[Row] = []
    for kind in ("SQLite", "PostgreSQL"):
        small, large = lab.database(kind), lab.database(kind)
        fill(large, LARGE)
        relays = [Relay(database, AtOnce(), "bench", now) for database in (small, large)]
        few = Variant("few", partial(carried, small, relays[0]))
        many = Variant("many", partial(carried, large, relays[1]))
        interleave([few, many], rounds)
        topic = "Backlog, the relay's database work an event"
        rows.append(compared(topic, f"{kind}: 1,000,000 rows, against 10,000", Goal(2), many, few))
        if kind != "PostgreSQL":
            continue
        few.samples.clear()
        held = Variant("held", partial(carried, large, relays[1]))
        with large.reading() as snapshot:
            snapshot.execute(sa.text("SELECT count(*) FROM outbox WHERE id < 100"))
            interleave([few, held], rounds)
        rows.append(
            compared(topic, f"{kind}: the same while an old snapshot is held open", Goal(2), held, few)
        )
    return Result(rows)


def fill(database: Database, count: int) -> None:
    """Put `count` messages into the outbox, two a run."""
    body = messages(1)[0].body
    dialect = "postgresql" if database.name.startswith("postgresql") else "sqlite"
    statement = (
        "INSERT INTO outbox (run_id, event_type, severity, created_at, body) "
        "SELECT 'run-' || (n / 2), 'dbaas.instance_create.start', 'info', :now, :body "
        f"FROM ({_FILL[dialect]}) AS numbers"
    )
    with database.writing() as tx:
        moment = now() if dialect == "postgresql" else now().replace(tzinfo=None).isoformat(sep=" ")
        tx.execute(sa.text(statement), {"now": moment, "body": body, "count": count})


def carried(database: Database, relay: Relay) -> Sample:
    """Carry 10,000 messages from the head of the outbox, one pass of the relay; put as many behind it first."""
    fill(database, CARRIED)

    def work() -> int:
        before = relay.status().published
        relay.run_once()
        return relay.status().published - before

    return timed(work)
