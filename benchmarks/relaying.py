"""How fast the outbox reaches the broker: from the first read to the last delete, everything confirmed."""

import uuid
from collections.abc import Sequence
from functools import partial

from tests.support.messaging import messaging_conf

from benchmarks.bare import Bare
from benchmarks.events import ANNOUNCER, now, start_and_end
from benchmarks.lab import Lab, Peer
from benchmarks.measuring import Goal, Result, Sample, Variant, compared, interleave, timed
from coffer.relay.relay import Relay
from coffer.store import outbox
from coffer.store.database import Database
from coffer.store.outbox import OutboxRow
from coffer.wire import transport

RUNS = 3000
PEER_MESSAGES = 150


def messages(runs: int = RUNS) -> list[OutboxRow]:
    """Return the rows of many runs, as the announcer writes them."""
    return [row for _ in range(runs) for row in ANNOUNCER.sealed(start_and_end(str(uuid.uuid4())), now())]


def measure(lab: Lab, rounds: int) -> Result:
    """Compare with upstream's notifier, and with py-amqp that has no database; the same events, the same queue."""
    databases = lab.databases()
    rows = messages()
    bare = Bare(lab.node)
    lab.stack.callback(bare.close)
    notifier = lab.peer("notifier")
    theirs = Variant("Notifier", partial(_notified, notifier, bare, [row.body.decode() for row in rows]))
    limit = Variant("py-amqp", partial(_published, bare, [row.body for row in rows]))
    ours = {}
    for kind, database in databases.items():
        relay = Relay(database, transport.publisher(messaging_conf(lab.node.url)), f"bench.{kind}", now)
        lab.stack.callback(relay.stop)
        ours[kind] = Variant(kind, partial(_relayed, database, relay, bare, rows))
    interleave([theirs, limit, *ours.values()], rounds)
    topic = "Relay, outbox to confirmed in a durable queue"
    result = []
    for kind, variant in ours.items():
        result += [
            compared(
                topic,
                f"from {kind}: events a second, against upstream's Notifier in one thread",
                Goal(8, at_least=True),
                variant,
                theirs,
                is_speed=True,
            ),
            compared(
                topic,
                f"from {kind}: events a second, against bare pipelined py-amqp",
                Goal(0.7, at_least=True),
                variant,
                limit,
                is_speed=True,
            ),
            compared(
                topic,
                f"from {kind}: CPU of the publisher an event, against upstream's Notifier",
                Goal(0.17),
                variant,
                theirs,
                of=lambda sample: sample.cpu_us,
            ),
        ]
    size = sum(len(row.body) for row in rows) / len(rows)
    return Result(result, notes=[f"A message has {size:,.0f} bytes on average; a batch has at most 500."])


def _relayed(database: Database, relay: Relay, bare: Bare, rows: Sequence[OutboxRow]) -> Sample:
    with database.writing() as tx:
        outbox.append(tx, rows)
    wanted = relay.status().published + len(rows)

    def work() -> int:
        while relay.status().published < wanted:
            relay.run_once()
        return len(rows)

    sample = timed(work)
    bare.empty()
    return sample


def _published(bare: Bare, bodies: Sequence[bytes]) -> Sample:
    def work() -> int:
        bare.publish(bodies)
        return len(bodies)

    sample = timed(work)
    bare.empty()
    return sample


def _notified(notifier: Peer, bare: Bare, bodies: Sequence[str]) -> Sample:
    sample = notifier.sample("notifier", bodies=bodies[:PEER_MESSAGES])
    bare.empty()
    return sample
