"""How long an event takes from its commit to the broker's confirmation, while nothing else goes on."""

import hashlib
import random
import sys
import threading
import time
import uuid
from pathlib import Path

from tests.support.messaging import messaging_conf
from tests.support.waiting import wait_for

from benchmarks.events import ANNOUNCER, now, start_and_end
from benchmarks.lab import Lab
from benchmarks.measuring import Goal, Picture, Result, Row, percentile
from benchmarks.timed_relay import Timed
from coffer.relay.relay import Relay
from coffer.store import outbox
from coffer.store.bell import Ringer
from coffer.store.database import Database
from coffer.wire import transport

EVENTS = 250
PAUSE_S = 0.08
"""On average; at random, so that no poll is in step with it."""
TOPIC = "Latency, from the commit to the broker's confirmation, idle"


def measure(lab: Lab, rounds: int) -> Result:
    """Measure `coffer relay` as a process of its own on PostgreSQL, and a relay in the process that writes (SQLite)."""
    del rounds
    found = {
        "processes on PostgreSQL": _across_processes(lab),
        "one process on SQLite": _in_one_process(lab),
    }
    rows = []
    for name, latencies in found.items():
        for percent, limit in ((50, 50.0), (99, 250.0)):
            rows.append(
                Row(
                    TOPIC,
                    f"{name}: p{percent}",
                    Goal(limit, unit="ms"),
                    percentile(latencies, percent),
                    (min(latencies), max(latencies)),
                    f"{len(latencies)} events",
                )
            )
    return Result(rows, Picture("ms from the commit to the broker's confirmation, idle system", found))


def _across_processes(lab: Lab) -> list[float]:
    url = lab.database_url("PostgreSQL")
    config = lab.coffer_config("latency", url)
    times = lab.folder / "latency.times"
    times.touch()
    lab.run("latency-relay", sys.executable, "-m", "benchmarks.timed_relay", config, times)
    database = Database(url)
    lab.stack.callback(database.close)
    _commit(database)
    wait_for(lambda: times.read_text().count("\n") > 0, 240, "the relay")
    wake = threading.Event()
    ringer = Ringer(database, wake)
    ringer.start()
    lab.stack.callback(ringer.stop)
    committed = _committed(database, wake.set)
    wait_for(lambda: _known(times).keys() >= committed.keys(), 120, "all confirmations")
    confirmed = _known(times)
    # The confirmation may come before the one who has committed gets the processor again.
    return [max(0.0, confirmed[key] - at_s) * 1000 for key, at_s in committed.items()]


def _in_one_process(lab: Lab) -> list[float]:
    database = lab.database("SQLite")
    times = lab.folder / "latency-standalone.times"
    wake = threading.Event()
    publisher = Timed(transport.publisher(messaging_conf(lab.node.url)), times)
    relay = Relay(database, publisher, "bench", now, wake=wake)
    relay.start()
    lab.stack.callback(relay.stop)
    _commit(database)
    wait_for(lambda: times.exists() and times.read_text(), 240, "the relay")
    committed = _committed(database, wake.set)
    wait_for(lambda: _known(times).keys() >= committed.keys(), 120, "all confirmations")
    confirmed = _known(times)
    # The confirmation may come before the one who has committed gets the processor again.
    return [max(0.0, confirmed[key] - at_s) * 1000 for key, at_s in committed.items()]


def _committed(database: Database, ring: object) -> dict[str, float]:
    """Commit events at random times; return when, by what they are called in the file."""
    dice, committed = random.Random(7), {}
    for _ in range(EVENTS):
        time.sleep(dice.expovariate(1 / PAUSE_S))
        key = _commit(database)
        committed[key] = time.monotonic()
        ring()  # type: ignore[operator]
    return committed


def _commit(database: Database) -> str:
    event = start_and_end(str(uuid.uuid4()))[0]
    with database.writing() as tx:
        rows = ANNOUNCER.sealed([event], now())
        outbox.append(tx, rows)
    return hashlib.md5(rows[0].body).hexdigest()


def _known(times: Path) -> dict[str, float]:
    lines = [line.split() for line in times.read_text().splitlines()]
    return {line[0]: float(line[1]) for line in reversed(lines) if len(line) == 2}
