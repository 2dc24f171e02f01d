"""The laboratory: coffer with two of most services, RabbitMQ, PostgreSQL on a small disk, and witnesses of all events.

It is set up once; each experiment finds it whole and at rest.
"""

import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import LiteralString

import psycopg
from tests.support.deployment import Deployment, Service, deployment
from tests.support.laboratory.cable import Cable
from tests.support.laboratory.load import Call
from tests.support.laboratory.verdict import Evidence, Fact, Run
from tests.support.listener import KEYS, Arrival, Listener
from tests.support.mounts import mount_tmpfs, unmount
from tests.support.postgresql_server import PostgresqlServer, running_server
from tests.support.processes import is_running
from tests.support.queues import bodies
from tests.support.rabbitmq import RabbitNode
from tests.support.scratch import scratch
from tests.support.waiting import wait_for

COUNTS = {"api": 1, "taskmanager": 2, "conductor": 2, "relay": 2, "collector": 1}
PROJECTS = ("acme", "umbrella")
QUEUES = ("witness", "coffer-collector", *KEYS)
"""Every queue to which notifications go."""
DISK = "size=1g,mode=755"
"""Small enough to be filled to the last byte; ten minutes without a broker need 400 MiB of it, log included."""
SETTLE_S = 200.0
"""Past the two minutes after which a run that was lost underway counts as failed."""
HEARD_S = 60.0
_FRESH: LiteralString = "select run_id, operation, request_id, started_at, ended_at, ending, fault from runs"
_REST: LiteralString = (
    "select (select count(*) from runs where ended_at is null), (select count(*) from outbox)"
)


@dataclass
class Laboratory:
    """What experiments are made on."""

    coffer: Deployment
    node: RabbitNode
    server: PostgresqlServer
    disk: Path | None
    """Where the control plane's database lives, if that is a file system of its own."""
    instances: Sequence[tuple[str, str]] = ()
    """Project and id of those that clients work on."""
    known: set[str] = field(default_factory=set)
    """The `message_id`s of past experiments."""
    past: set[str] = field(default_factory=set)
    """The runs of past experiments."""
    strangers: list[Service] = field(default_factory=list)
    """Services that were started for one experiment, in another way than the others."""
    cable: Cable | None = None
    cleanup: ExitStack = field(default_factory=ExitStack)
    """What one experiment has to take away again."""
    _listeners: list[Listener] = field(default_factory=list)
    _field: list[Arrival] = field(default_factory=list)
    _forgotten: int = 0

    def furnish(self) -> None:
        """Begin to listen, and make the instances that clients work on."""
        self.coffer.mend()
        self.listen()
        self.make_instances()

    def make_instances(self) -> None:
        """Make new instances for the clients to work on."""
        tenants = [self.coffer.tenant(project) for project in PROJECTS]
        made = [(tenant, tenant.create(databases=["d"])) for tenant in tenants]
        for tenant, instance_id in made:
            tenant.wait_for(instance_id, "ACTIVE")
        self.instances = [(tenant.project, instance_id) for tenant, instance_id in made]

    def remove_instances(self) -> None:
        """Remove the instances that clients worked on."""
        for project, instance_id in self.instances:
            tenant = self.coffer.tenant(project)
            tenant.wait_for(instance_id, "ACTIVE")
            tenant.api.instances.delete(instance_id)
            tenant.wait_until_gone(instance_id)
        self.instances = ()

    # --- witnesses ---

    def listen(self) -> None:
        """Have the witness listen, again perhaps."""
        listener = Listener(self.node)
        listener.start()
        self._listeners.append(listener)

    def stop_listening(self) -> None:
        """Have the witness go away; its queue stays, and fills."""
        self._listeners[-1].stop()

    def take_field(self) -> None:
        """Take what is in the queues that Ceilometer would read."""
        for key in KEYS:
            self.take_queue(key)

    def take_queue(self, queue: str) -> None:
        """Take what is in a queue."""
        self._field += [Arrival(datetime.now(UTC), queue, body) for body in bodies(self.node, queue)]

    def heard(self) -> list[Arrival]:
        """Return everything that the witness has heard since the last `forget`."""
        return [each for listener in self._listeners for each in listener.arrivals()][self._forgotten :]

    def forget(self) -> None:
        """Put what has happened so far behind us: an experiment begins."""
        self.settle()
        self.take_field()
        heard = self.heard()
        self.known |= {each.message_id for each in (*heard, *self._field)}
        self.past |= {run.run_id for run in self.runs()}
        self._forgotten += len(heard)
        self._field.clear()

    # --- processes ---

    def service(self, kind: str) -> Service:
        """Return a service of a kind; of the relays the one that publishes."""
        found = self.coffer.of(kind)
        if kind != "relay":
            return found[0]
        (active,) = [each for each in found if each.pid == self.active_relay()]
        return active

    def active_relay(self) -> int | None:
        """Return the process of the relay that has the lease, None if nobody has it now."""
        rows = self.coffer.rows("select holder from leases where name = 'relay'")
        holders = [holder for (holder,) in rows]
        for service in self.coffer.of("relay"):
            if any(f"holder={holder}" in service.text() for holder in holders):
                return service.pid
        return None

    def api_workers(self) -> list[int]:
        """Return the processes that serve calls."""
        return [pid for service in self.coffer.of("api") for pid in children(service.pid)]

    def agents(self) -> list[int]:
        """Return the guest agents of the clients' instances."""
        return [self.coffer.agent_pid(instance_id) for _, instance_id in self.instances]

    # --- the state of things ---

    def mend(self) -> None:
        """Do what an operator's supervisor does: start again what has died."""
        self.coffer.mend()
        wait_for(lambda: len(self.api_workers()) == 2, HEARD_S, "two workers of the API")
        wait_for(lambda: all(map(is_running, self.agents())), HEARD_S, "the guest agents")

    def clear(self) -> None:
        """Take away what the last experiment has brought."""
        was_cabled = self.cable is not None
        if was_cabled:
            self.remove_instances()
        if self.strangers:
            for service in self.strangers:
                if service.is_alive:
                    service.kill()
            self.strangers.clear()
        self.cable = None
        self.cleanup.close()
        if was_cabled:
            self.coffer.mend()
            self.make_instances()

    def settle(self) -> tuple[int, int]:
        """Wait for the runs to end and the outbox to drain; return how many runs and events were left."""

        def is_at_rest() -> bool:
            return self.coffer.rows(_REST) == [(0, 0)]

        try:
            wait_for(is_at_rest, SETTLE_S, "rest", poll_s=0.1)
        except AssertionError:
            ((runs, events),) = self.coffer.rows(_REST)
            return runs, events
        return 0, 0

    def runs(self) -> list[Run]:
        """Return the runs since the last `forget`."""
        rows = [Run(*row) for row in self.coffer.rows(_FRESH)]
        return [run for run in rows if run.run_id not in self.past]

    def facts(self, runs: Sequence[Run]) -> Counter[Fact]:
        """Return the facts that the tables call for, of the instances that these runs are about."""
        rows = self.coffer.rows(
            "select r.run_id, r.operation, r.instance_id, i.launched_at is not null from runs r"
            " join instances i on i.id = r.instance_id where r.ending = 'end'"
            " and r.operation in ('instance_create', 'instance_delete')"
        )
        ours = {run.run_id for run in runs}
        return Counter(
            (f"trove.instance.{operation.removeprefix('instance_')}", instance_id)
            for run_id, operation, instance_id, is_launched in rows
            if run_id in ours and is_launched
        )

    def evidence(self, calls: Sequence[Call], *, skew_s: float, is_one: bool) -> Evidence:
        """Gather what an experiment left; wait for what is still on its way to the witnesses.

        `is_one` takes what all witnesses heard together: their queues were deleted, each missed something.
        """
        runs = self.runs()
        facts = self.facts(runs)
        wanted = sum(1 if run.ending is None else 2 for run in runs) + facts.total()

        def is_heard() -> bool:
            self.take_field()
            new = {each.message_id for each in self.heard()} - self.known
            field = {each.message_id for each in self._field} - self.known
            together = len(new | field) if is_one else min(len(new), len(field), len(self._collected()))
            return together >= wanted

        with suppress(AssertionError):  # the verdict says what is missing
            wait_for(is_heard, HEARD_S, "the witnesses", poll_s=0.5)
        heard = {queue: [each for each in self._field if each.key == queue] for queue in QUEUES}
        heard["heard"] = self.heard()
        witnesses = {"witness": ["heard"], "field": KEYS} if not is_one else {"all": [*heard]}
        return Evidence(
            runs=runs,
            facts=facts,
            heard=heard,
            witnesses=witnesses,
            collected=self._collected() | (_ids(heard) if is_one else set()),
            calls=calls,
            known=self.known,
            skew_s=skew_s,
        )

    def _collected(self) -> set[str]:
        with psycopg.connect(self.coffer.collector_url) as connection:
            rows = connection.execute("select message_id from events").fetchall()
        return {message_id for (message_id,) in rows} - self.known


def _ids(heard: Mapping[str, Sequence[Arrival]]) -> set[str]:
    return {each.message_id for arrivals in heard.values() for each in arrivals}


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that run."""
    found = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [each for each in found if is_running(each)]


def family(pid: int) -> list[int]:
    """Return a process and all that have come from it."""
    return [pid, *(each for child in children(pid) for each in family(child))]


def signal_all(pids: Sequence[int], how: signal.Signals) -> None:
    """Send a signal to processes."""
    for pid in pids:
        os.kill(pid, how)


@contextmanager
def laboratory() -> Iterator[Laboratory]:
    """Set everything up; nothing stays behind."""
    with scratch() as place:
        disk = place / "disk" if os.geteuid() == 0 else None
        if disk is not None:
            disk.mkdir()
            mount_tmpfs(disk, DISK)
        try:
            with (
                running_server(disk) as server,
                deployment(
                    {"api": {"workers": 2}, "DEFAULT": {"service_down_time": 4}}, counts=COUNTS, server=server
                ) as (coffer, node),
            ):
                made = Laboratory(coffer, node, server, disk)
                try:
                    made.furnish()
                    yield made
                finally:
                    for service in coffer.services:
                        if service.is_alive:
                            os.killpg(service.pid, signal.SIGCONT)
                    for listener in made._listeners:
                        listener.stop()
                    made.cleanup.close()
        finally:
            if disk is not None:
                unmount(disk)
