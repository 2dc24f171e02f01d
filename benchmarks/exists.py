"""The exists audit: one window of N instances, from the rows of the database to rows in the outbox.

`python -m benchmarks.exists [N...]`. The instances are rows only; what is measured is the code that a taskmanager runs.
Each size has a process of its own, so that the memory of one is not that of the other.
"""

import resource
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.lab import Lab
from benchmarks.measuring import Goal, Result, Sample, Variant, compared, interleave
from coffer.catalogue.operations import ServerType
from coffer.catalogue.states import InstanceState
from coffer.lifecycle.announcer import Announcer
from coffer.lifecycle.audits import ExistsAudit
from coffer.lifecycle.emitter import Emitter
from coffer.lifecycle.exists import Exists
from coffer.lifecycle.runs import Lifecycle
from coffer.store import instances, migrate, outbox
from coffer.store.database import Database
from coffer.store.instances import Instance

SIZES = (10_000, 100_000)
PEER_INSTANCES = 300
FLAT = 1.2
"""How much more memory ten times the instances may take."""

BEGIN = datetime(2026, 11, 22, 8, tzinfo=UTC)


def measure(count: int) -> tuple[float, float, float, float]:
    """Return seconds, seconds of CPU, the peak of memory in MiB, and how much of that came with the audit."""
    with tempfile.TemporaryDirectory(prefix="coffer-bench-") as folder:
        database = _filled(Path(folder), count)
        moments = [BEGIN]
        lifecycle = Lifecycle(database, Announcer(_emitter()), clock=lambda: moments[-1])
        audit = ExistsAudit(lifecycle, Exists({}), interval_s=3600, settle_s=0)
        audit.step()
        moments.append(BEGIN + timedelta(hours=1))
        before = _peak_mib()
        told, seconds, cpu_s, is_more = 0, 0.0, 0.0, True
        while is_more:
            started, cpu_started = time.perf_counter(), time.process_time()
            is_more = audit.step()
            seconds += time.perf_counter() - started
            cpu_s += time.process_time() - cpu_started
            told += _sent(database)
        assert told == count, f"{told} of {count} instances were announced"
        database.close()
    return seconds, cpu_s, _peak_mib(), _peak_mib() - before


def audit(lab: Lab, rounds: int) -> Result:
    """Compare 100,000 instances with upstream's transformer, which has as many as it can do in a few seconds."""
    peer = lab.peer("exists", driver="noop")
    peer.do("fill", count=PEER_INSTANCES)
    theirs = Variant("upstream", lambda: peer.sample("exists"))
    ours = Variant("coffer", lambda: _apart(SIZES[-1]))
    interleave([theirs, ours], rounds, warm_up=False)
    row = compared(
        "exists, payloads of one audit",
        "100,000 instances into the outbox, an instance, against upstream without its network calls",
        Goal(0.01),
        ours,
        theirs,
    )
    note = (
        f"Upstream's exists audit ran on {PEER_INSTANCES} instances (SQLite, its own schema): it is linear."
    )
    return Result([row], notes=[note])


def _apart(count: int) -> Sample:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.exists", "--one", str(count)],
        check=True,
        capture_output=True,
        text=True,
    )
    seconds, cpu_s, *_ = (float(word) for word in done.stdout.split())
    return Sample(seconds / count * 1e6, cpu_s / count * 1e6)


def main(sizes: list[int]) -> int:
    """Print a table; return 1 if memory grows with the number of instances."""
    names = ("instances", "seconds", "us each", "CPU us each", "peak MiB", "of it audit")
    print(" ".join(f"{name:>11}" for name in names))
    peaks = []
    for count in sizes:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.exists", "--one", str(count)],
            check=True,
            capture_output=True,
            text=True,
        )
        seconds, cpu_s, peak, grown = (float(word) for word in done.stdout.split())
        peaks.append(peak)
        each_us, cpu_us = seconds / count * 1e6, cpu_s / count * 1e6
        print(f"{count:>11,} {seconds:>11.2f} {each_us:>11.1f} {cpu_us:>11.1f} {peak:>11.1f} {grown:>11.1f}")
    is_flat = max(peaks) <= FLAT * min(peaks)
    print(f"memory is {'flat' if is_flat else 'NOT flat'}: {max(peaks) / min(peaks):.2f} times the smallest")
    return 0 if is_flat else 1


def _filled(folder: Path, count: int) -> Database:
    """Return a database with `count` instances; put in page by page, so that filling takes no memory either."""
    url = f"sqlite:///{folder / 'coffer.db'}"
    migrate.upgrade(url)
    database = Database(url)
    for start in range(0, count, 1000):
        with database.writing() as tx:
            for number in range(start, min(start + 1000, count)):
                instances.insert(tx, instance(number))
    return database


def _sent(database: Database) -> int:
    """Take the place of the relay, whose work is not measured here; return how many messages waited."""
    with database.writing() as tx:
        return outbox.delete(tx, [row.id for row in outbox.head(tx, 10_000)])


def instance(number: int, *, project_id: str = "") -> Instance:
    created_at = BEGIN - timedelta(minutes=number)
    return Instance(
        id=str(uuid.uuid4()),
        project_id=project_id or f"project-{number % 1000}",
        user_id=f"user-{number % 1000}",
        name=f"instance-{number}",
        datastore="postgresql",
        datastore_version="17",
        flavor_id="2",
        flavor_name="small",
        ram_mib=2048,
        volume_gib=10,
        region="RegionOne",
        created_at=created_at,
        updated_at=created_at,
        launched_at=created_at,
        availability_zone="zone-1",
        state=InstanceState.ACTIVE,
        service_seen_at=BEGIN,
        host="127.0.0.1",
        port=5432,
        server_id=str(uuid.uuid4()),
        volume_id=str(uuid.uuid4()),
    )


def _emitter() -> Emitter:
    return Emitter(server_type=ServerType.TASK, host="bench", server_ip="127.0.0.1:0", service_id="bench")


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(*measure(int(sys.argv[2])))
    else:
        sys.exit(main([int(word) for word in sys.argv[1:]] or list(SIZES)))
