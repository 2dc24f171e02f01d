"""How fast the outbox reaches the broker: in confirmed messages a second, from the first read to the last delete."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from benchmarks.events import ANNOUNCER, now, start_and_end
from benchmarks.measuring import Group, Variant
from benchmarks.peer import Bare, Notifier
from coffer.relay.relay import Relay
from coffer.store import outbox
from coffer.store.database import Database
from coffer.store.outbox import OutboxRow
from coffer.wire.publisher import Publisher

RUNS = 1500
PEER_MESSAGES = 200


def messages(database: Database) -> list[OutboxRow]:
    """Return the rows of many runs, as the announcer writes them."""
    with database.writing() as tx:
        for _ in range(RUNS):
            ANNOUNCER.announce(tx, start_and_end(run_id := str(uuid.uuid4())), now())
        pending = outbox.head(tx, 2 * RUNS)
        outbox.delete(tx, [row.id for row in pending])
    del run_id
    return [OutboxRow(row.run_id, "dbaas.instance_create", row.severity, now(), row.body) for row in pending]


@contextmanager
def relaying(
    databases: dict[str, Database],
    new_publisher: Callable[[], Publisher],
    notifier: Notifier,
    bare: Bare,
    rows: Sequence[OutboxRow],
) -> Iterator[Group]:
    """Give the comparison; the same bytes for everybody but the Notifier, which makes its own."""
    peer = Variant("oslo.messaging's Notifier, one thread", partial(_notified_a_second, notifier, bare, rows))
    limit = Variant("py-amqp alone, pipelined, no database", partial(_published_a_second, bare, rows))
    with ExitStack() as stack:
        ours = []
        for name, database in databases.items():
            relay = Relay(database, new_publisher(), f"bench.{name}", now)
            stack.callback(relay.stop)
            measure = partial(_relayed_a_second, database, relay, bare, rows)
            ours.append(Variant(f"coffer's relay from {name}", measure))
        yardsticks = {"Notifier": peer, "py-amqp": limit}
        yield Group(
            "Outbox to confirmed in a durable queue", "messages a second", [peer, limit, *ours], yardsticks
        )


def _relayed_a_second(database: Database, relay: Relay, bare: Bare, rows: Sequence[OutboxRow]) -> float:
    with database.writing() as tx:
        outbox.append(tx, rows)
    before = relay.status().published
    began_s = time.perf_counter()
    while relay.status().published < before + len(rows):
        relay.run_once()
    took_s = time.perf_counter() - began_s
    bare.empty()
    return len(rows) / took_s


def _published_a_second(bare: Bare, rows: Sequence[OutboxRow]) -> float:
    bodies = [row.body for row in rows]
    began_s = time.perf_counter()
    bare.publish(bodies)
    took_s = time.perf_counter() - began_s
    bare.empty()
    return len(bodies) / took_s


def _notified_a_second(notifier: Notifier, bare: Bare, rows: Sequence[OutboxRow]) -> float:
    bodies = [row.body for row in rows[:PEER_MESSAGES]]
    began_s = time.perf_counter()
    for body in bodies:
        notifier.info(body)
    took_s = time.perf_counter() - began_s
    bare.empty()
    return len(bodies) / took_s
