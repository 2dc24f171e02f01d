"""A whole control plane in a test's process, on real database servers: nothing is replaced, parts can be switched off.

The composition is the production one (`coffer.main.parts.Site`); what a process would add is missing: no socket, no
relay, so that the outbox keeps everything that was announced.
"""

import json
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psycopg
from falcon import testing
from tests.support.ports import instance_port_options
from tests.support.processes import kill_about
from tests.support.waiting import wait_for

from coffer.api.app import build_app
from coffer.catalogue.operations import ServerType
from coffer.catalogue.states import ServiceStatus
from coffer.clouds.local.guest_config import GuestConfig
from coffer.datastores.postgresql import process
from coffer.lifecycle.emitter import utcnow
from coffer.lifecycle.watchdog import Watchdog
from coffer.main import guests
from coffer.main.parts import Site
from coffer.main.settings import load
from coffer.store import instances, migrate, outbox, runs
from coffer.store.database import Database
from coffer.store.instances import Instance
from coffer.wire.envelope import Notification, unseal
from coffer.wire.guest_client import GuestClient
from coffer.wire.transport import rpc_transport

PROJECT = "acme"
USER, PASSWORD, DATABASE = "bob", "bob's", "shop"
BUILD_S = 120.0


@dataclass(slots=True)
class PatientSite(Site):
    """A site whose guests are waited for as long as a test says."""

    guest_timeouts_s: dict[str, Any] = field(default_factory=dict)
    """`timeout_s` and `restart_timeout_s` of the guests' clients made from now on."""

    def guest(self, instance_id: str) -> GuestClient:
        return GuestClient(self.rpc, instance_id, **self.guest_timeouts_s)


class ControlPlane:
    """API, taskmanager, conductor and guests on a directory; `with` starts and ends them all."""

    def __init__(self, root: Path, **options: object) -> None:
        """Use `root`; `options` are those of the group DEFAULT."""
        self._cleanup = ExitStack()
        self.root = root
        conf = load([], defaults={"transport_url": "kombu+memory://", "rpc_topic_prefix": f"{uuid.uuid4()}."})
        for name, value in {"report_interval": 0.5, **options}.items():
            conf.set_override(name, value)
        for name, value in instance_port_options().items():
            conf.set_override(name, value, group="local_cloud")
        url = f"sqlite:///{root / 'coffer.db'}"
        migrate.upgrade(url)
        self.database = Database(url, pool_size=16)
        self._cleanup.callback(self.database.close)
        rpc = rpc_transport(conf)
        self._cleanup.callback(rpc.close)
        self.site = PatientSite(conf=conf, database=self.database, rpc=rpc, root=root, port=8779)
        datastores = self.site.datastores()
        self.launcher = guests.ThreadLauncher(
            lambda guest_dir: guests.agent(
                guest_dir,
                rpc=rpc,
                registry=datastores,
                engines=self.site.engines(),
                report_interval_s=conf.report_interval,
                objects=self.site.objects(),
            )
        )
        self.cloud = self.site.cloud(self.launcher)
        self.api, self.task, conductor = (
            self.site.lifecycle(kind) for kind in (ServerType.API, ServerType.TASK, ServerType.CONDUCTOR)
        )
        self._servers = (self.site.conductor(conductor), self.site.taskmanager(self.task, self.cloud))
        self.client = testing.TestClient(build_app(self.site.services(self.api, self.cloud, datastores)))

    def __enter__(self) -> Self:
        self.cloud.check()
        self._cleanup.callback(process.reap)
        self._cleanup.callback(kill_about, self.root)
        self._cleanup.callback(self.cloud.stop_guests)
        for server in self._servers:
            server.start()
            self._cleanup.callback(server.stop)
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._cleanup.close()

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Send a request; `path` is below the project. Return status and body."""
        result = self.client.simulate_request(
            method,
            f"/v1.0/{PROJECT}{path}",
            body=None if body is None else json.dumps(body),
            headers={"Host": "127.0.0.1:8779", "Content-Type": "application/json"},
            extras={"REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "40123"},
        )
        return result.status_code, json.loads(result.content) if result.content else None

    def action(self, instance_id: str, body: object) -> int:
        """Send an action on an instance, return the status."""
        return self.call("POST", f"/instances/{instance_id}/action", body)[0]

    def create_active(self, *, flavor: str = "1", volume_gib: int = 1, **more: object) -> str:
        """Create an instance with the database and the user of this module, wait until it serves."""
        user = {"name": USER, "password": PASSWORD, "databases": [{"name": DATABASE}]}
        asked: dict[str, object] = {
            "name": "books",
            "flavorRef": flavor,
            "volume": {"size": volume_gib},
            "datastore": {"type": "postgresql"},
            "databases": [{"name": DATABASE}],
            "users": [user],
            **more,
        }
        status, body = self.call("POST", "/instances", {"instance": asked})
        assert status == 200, body
        instance_id = str(body["instance"]["id"])
        self.wait_for(instance_id, "ACTIVE")
        return instance_id

    def show(self, instance_id: str) -> dict[str, Any]:
        """Return what the API shows of an instance."""
        status, body = self.call("GET", f"/instances/{instance_id}")
        assert status == 200, body
        shown: dict[str, Any] = body["instance"]
        return shown

    def wait_for(self, instance_id: str, state: str, timeout_s: float = BUILD_S) -> None:
        """Wait until an instance is in a state."""

        def reached() -> bool:
            shown = self.show(instance_id)
            assert state == "ERROR" or shown["status"] != "ERROR", shown.get("fault")
            return bool(shown["status"] == state)

        wait_for(reached, timeout_s, f"instance {instance_id} to be {state}")

    def row(self, instance_id: str) -> Instance:
        """Return an instance as the database has it."""
        with self.database.reading() as tx:
            found = instances.get(tx, instance_id)
        assert found is not None
        return found

    def guest_dir(self, instance_id: str) -> Path:
        """Return where an instance lives."""
        return self.cloud.layout.guest_dir(instance_id)

    def guest_config(self, instance_id: str) -> GuestConfig:
        """Return what the instance's agent is told."""
        return GuestConfig.load(self.guest_dir(instance_id))

    def log_in(self, instance_id: str) -> "psycopg.Connection[tuple[Any, ...]]":
        """Open a session of the tenant's user."""
        row = self.row(instance_id)
        assert row.host is not None
        assert row.port is not None
        return psycopg.connect(
            host=row.host,
            port=row.port,
            dbname=DATABASE,
            user=USER,
            password=PASSWORD,
            connect_timeout=10,
            autocommit=True,
        )

    def ask(self, instance_id: str, question: str) -> str:
        """Return the only value of the only row of a query."""
        with self.log_in(instance_id) as session:
            row = session.execute(question.encode()).fetchone()
        assert row is not None
        return str(row[0])

    def wait_until_healthy(self, instance_id: str) -> None:
        """Wait until the guest says, from now on, that the server serves."""
        since = utcnow()

        def says_so() -> bool:
            row = self.row(instance_id)
            seen_at = row.service_seen_at
            return row.service_status is ServiceStatus.HEALTHY and seen_at is not None and seen_at > since

        wait_for(says_so, BUILD_S, f"the server of {instance_id} to be healthy")

    def watchdog(self) -> Watchdog:
        """Return a watchdog, not started: sweep with it."""
        return self.site.watchdog(self.task)

    def open_runs(self) -> list[runs.Run]:
        """Return the runs that have not ended."""
        with self.database.reading() as tx:
            return runs.open_runs(tx)

    def events(self, pattern: str = "") -> list[Notification]:
        """Return what was announced, in order: everything, or the types that hold a text."""
        with self.database.reading() as tx:
            told = [unseal(pending.body) for pending in outbox.head(tx, 100_000)]
        return [event for event in told if pattern in event.event_type]

    def only(self, event_type: str) -> Mapping[str, Any]:
        """Return the payload of the only event of a type."""
        (event,) = [event for event in self.events() if event.event_type == event_type]
        return event.payload
