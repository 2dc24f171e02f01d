"""coffer as an operator runs it: each service a process of its own, one configuration file, a broker and a database."""

import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from tests.support import mariadb_server
from tests.support.mariadb_server import MariadbServer
from tests.support.ports import free_port, instance_port_options
from tests.support.postgresql_server import PostgresqlServer, running_server
from tests.support.processes import kill_about
from tests.support.rabbitmq import RabbitNode, started_node
from tests.support.scratch import scratch
from tests.support.trove import Tenant
from tests.support.waiting import wait_for

from coffer.lifecycle.guest_channels import new_secret

COFFER = str(Path(sys.executable).with_name("coffer"))
KINDS = ("conductor", "taskmanager", "api", "relay", "collector")
START_S = 60.0
SETTLE_S = 60.0
STOP_S = 30.0
UNTOLD: LiteralString = (
    "select (select count(*) from runs where ended_at is null) + (select count(*) from outbox)"
)
"""How many runs are not over, and how many messages the broker does not have."""


@dataclass
class Service:
    """One process of coffer; what it writes goes to `log`."""

    kind: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """The process."""
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def text(self) -> str:
        """What it has written."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """Kill it, and what it has forked, at once."""
        os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(STOP_S)

    def terminate(self) -> tuple[int, float]:
        """Ask it to stop; return its exit code and how many seconds it took."""
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_S)
        return code, time.monotonic() - began_s


@dataclass
class Deployment:
    """One installation below `root`. `options` are by group, over defaults that make a test quick.

    `counts` says of which kind there is more than one process.
    """

    root: Path
    transport_url: str = field(repr=False)
    database_url: str = field(repr=False)
    collector_url: str = field(repr=False)
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    management_url: str | None = field(default=None, repr=False)
    guest_secret: str = field(default_factory=new_secret, repr=False)
    port: int = field(default_factory=free_port)
    services: list[Service] = field(default_factory=list)

    @property
    def config_file(self) -> Path:
        """The file that every process reads."""
        return self.root / "coffer.conf"

    @property
    def url(self) -> str:
        """Where the API listens."""
        return f"http://127.0.0.1:{self.port}"

    def configure(self) -> None:
        """Write the configuration file: readable by nobody else, since it holds passwords."""
        groups: dict[str, dict[str, object]] = {
            "DEFAULT": {
                "transport_url": self.transport_url,
                "report_interval": 0.5,
                "watchdog_interval": 0.25,
                "service_down_time": 2,
                "rpc_cast_timeout_s": 5,
                # As in etc/coffer.conf.sample: a collector that is slow to start misses nothing.
                "relay_declares_collector_queue": True,
            },
            "database": {"connection": self.database_url},
            "collector": {"connection": self.collector_url},
            "guests": {"secrets": self.guest_secret},
            "api": {"bind_port": self.port},
            "local_cloud": {
                "root": self.root / "cloud",
                "min_free_gib": 0.1,
                "guest_check_interval": 0.5,
                **instance_port_options(),
            },
        }
        if self.management_url is not None:
            groups["guests"]["broker_management_url"] = self.management_url
        for group, options in self.options.items():
            groups.setdefault(group, {}).update(options)
        lines = [
            line
            for group, options in groups.items()
            for line in (f"[{group}]", *(f"{name} = {value}" for name, value in options.items()), "")
        ]
        self.config_file.touch(mode=0o600)
        self.config_file.write_text("\n".join(lines))

    def run(self, *words: str, timeout_s: float = 60.0) -> str:
        """Run a `coffer` command to its end and return what it printed."""
        done = subprocess.run(
            [COFFER, *words, "--config-file", str(self.config_file)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, (
            f"coffer {words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
        return done.stdout

    def start(
        self, kind: str, *, config_files: Sequence[Path] = (), environment: Mapping[str, str] | None = None
    ) -> Service:
        """Start a service in a process group of its own; does not wait for it.

        What stands in `config_files` goes before what all services read, `environment` is added to ours.
        """
        log = self.root / f"{kind}-{secrets.token_hex(3)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [COFFER, kind, *(f"--config-file={path}" for path in (self.config_file, *config_files))],
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )
        service = Service(kind, process, log)
        self.services.append(service)
        return service

    def of(self, kind: str) -> list[Service]:
        """Return the services of a kind that run."""
        return [service for service in self.services if service.kind == kind and service.is_alive]

    def mend(self) -> None:
        """Have as many services of each kind as there should be, whatever a test did, and wait for them.

        Then calls can be made and are announced.
        """
        for kind in KINDS:
            alive, wanted = self.of(kind), self.counts.get(kind, 1)
            for extra in alive[wanted:]:
                extra.terminate()
            for _ in range(wanted - len(alive)):
                self.start(kind)
        wait_for(self._is_up, START_S, "every service to be up")

    def tenant(self, project: str = "acme") -> Tenant:
        """Return a client."""
        return Tenant(self.url, project)

    def guest_dir(self, instance_id: str) -> Path:
        """Return where an instance lives."""
        return self.root / "cloud" / "instances" / instance_id

    def agent_pid(self, instance_id: str) -> int:
        """Return the process of an instance's guest agent."""
        return int(json.loads((self.guest_dir(instance_id) / "guestagent.pid").read_text())["pid"])

    def rows(self, query: LiteralString) -> list[tuple[Any, ...]]:
        """Read the control plane's database from outside."""
        return read(self.database_url, query)

    def events(self) -> list[dict[str, Any]]:
        """Return what was announced, in the order of its arrival, once every run is over and its events are here."""
        wait_for(lambda: self.rows(UNTOLD) == [(0,)], SETTLE_S, "every run to end and the outbox to drain")
        wait_for(self._is_collected, SETTLE_S, "the collector to have every event")
        found: list[dict[str, Any]] = json.loads(self.run("events", "list", "--format", "json"))["events"]
        return found

    def _is_collected(self) -> bool:
        ((expected,),) = self.rows("select 2 * count(*) from runs")
        query: LiteralString = "select count(*) from events where event_type like 'dbaas.%'"
        ((found,),) = read(self.collector_url, query)
        return bool(found >= expected)

    def _is_up(self) -> bool:
        for kind in KINDS:
            log = next(service for service in reversed(self.services) if service.kind == kind)
            assert self.of(kind), f"coffer {kind} ended:\n{log.text()[-3000:]}"
        registered = {pid for (pid,) in self.rows("select pid from services")}
        working = {service.pid for kind in ("conductor", "taskmanager") for service in self.of(kind)}
        return working <= registered and bool(self.rows("select 1 from leases")) and self.answers()

    def answers(self) -> bool:
        """Whether the API serves."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with closing(connection):
            try:
                connection.request("GET", "/v1.0/acme/instances")
                return connection.getresponse().status == http.HTTPStatus.OK
            except OSError:
                return False


def read(url: str, query: LiteralString) -> list[tuple[Any, ...]]:
    """Ask a database of either kind from outside."""
    if url.startswith("mysql"):
        return mariadb_server.read(url, query)
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


@contextmanager
def deployment(
    options: Mapping[str, Mapping[str, object]] | None = None,
    *,
    counts: Mapping[str, int] | None = None,
    server: PostgresqlServer | MariadbServer | None = None,
    has_management: bool = False,
) -> Iterator[tuple[Deployment, RabbitNode]]:
    """Install coffer on a RabbitMQ node and a PostgreSQL server of its own; nothing of it stays behind.

    Where there is a `server` already, coffer gets its databases there. With `has_management` each guest gets an
    account of its own at the broker.
    """
    given = running_server() if server is None else nullcontext(server)
    with started_node(has_management=has_management) as node, given as databases, scratch() as root:
        made = Deployment(
            root,
            node.url,
            databases.url(databases.create_database()),
            databases.url(databases.create_database()),
            options=options or {},
            counts=counts or {},
            management_url=node.management_url if has_management else None,
        )
        made.configure()
        made.run("db", "upgrade")
        try:
            yield made, node
        finally:
            for service in made.services:
                if service.is_alive:
                    service.kill()
            kill_about(root)
