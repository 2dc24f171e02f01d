"""What it costs a request to announce: in microseconds a notification, for the caller."""

import time
import uuid
from functools import partial

from benchmarks.events import ANNOUNCER, now, start_and_end
from benchmarks.measuring import Group, Variant
from benchmarks.peer import Notifier
from coffer.store import outbox
from coffer.store.database import Database

RUNS = 300
PEER_RUNS = 50


def emitting(databases: dict[str, Database], notifier: Notifier, bodies: list[bytes]) -> Group:
    """Return the comparison of a row in the outbox with a message to the broker."""
    peer = Variant("oslo.messaging's Notifier, durable queue", lambda: _notify_us(notifier, bodies))
    ours = [
        Variant(f"coffer, in an open transaction on {name}", partial(_announce_us, database))
        for name, database in databases.items()
    ]
    return Group("Announcing, for the caller", "µs a notification", [peer, *ours], {"Notifier": peer})


def _announce_us(database: Database) -> float:
    """Write the events of many runs, a call of the announcer each, into one transaction; time these calls only."""
    runs = [start_and_end(str(uuid.uuid4())) for _ in range(RUNS)]
    with database.writing() as tx:
        began_s = time.perf_counter()
        for run in runs:
            for event in run:
                ANNOUNCER.announce(tx, [event], now())
        took_s = time.perf_counter() - began_s
        outbox.delete(tx, [row.id for row in outbox.head(tx, 4 * RUNS)])
    return took_s / (2 * RUNS) * 1e6


def _notify_us(notifier: Notifier, bodies: list[bytes]) -> float:
    sent = bodies[: 2 * PEER_RUNS]
    began_s = time.perf_counter()
    for body in sent:
        notifier.info(body)
    return (time.perf_counter() - began_s) / len(sent) * 1e6
