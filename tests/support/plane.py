"""A whole control plane in this process: API, taskmanager, conductor, local cloud and guest agents, over real RPC
and a real database. Only the database servers of the instances are dictionaries, and no socket listens."""

import json
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from falcon import testing
from tests.support.memory_driver import MemoryServer, registry, server_of
from tests.support.messaging import MEMORY_URL, messaging_conf
from tests.support.ports import instance_ports
from tests.support.waiting import wait_for

from coffer.api.app import build_app
from coffer.api.auth import NoAuth
from coffer.api.policy import Policy
from coffer.api.routes import guards
from coffer.api.services import Services
from coffer.catalogue.operations import ServerType
from coffer.catalogue.states import InstanceState
from coffer.clouds.cloud import Cloud
from coffer.clouds.local.cloud import LocalCloud
from coffer.clouds.local.flavors import DEFAULT_FLAVORS
from coffer.clouds.local.object_store import DirectoryStore
from coffer.clouds.local.settings import LocalSettings
from coffer.conductor.reports import Reports
from coffer.datastores.driver import EngineSettings
from coffer.lifecycle.announcer import Announcer
from coffer.lifecycle.emitter import Emitter
from coffer.lifecycle.runs import Lifecycle
from coffer.main.guests import ThreadLauncher, agent
from coffer.main.settings import NOTIFICATION_SERVICE_IDS
from coffer.store import instances, outbox, runs
from coffer.store.database import Database
from coffer.store.instances import Instance
from coffer.taskmanager.instances import InstanceTasks
from coffer.wire.contracts import CONDUCTOR, TASKMANAGER
from coffer.wire.envelope import Notification, unseal
from coffer.wire.guest_client import GuestClient
from coffer.wire.rpc import RpcServer
from coffer.wire.taskmanager_client import TaskmanagerClient
from coffer.wire.transport import rpc_transport

PROJECT = "project-1"
PATIENCE_S = 20.0


class Plane:
    """Use it as a context manager: everything runs inside the block, and is gone after it."""

    def __init__(
        self, database_url: str, root: Path, *, min_free_gib: float = 0.0, cloud: Cloud | None = None
    ) -> None:
        """Keep the rows at `database_url` and the instances below `root`, or in `cloud`."""
        self.restart_timeout_s = 10.0
        self._cleanup = ExitStack()
        self.database = Database(database_url)
        self._cleanup.callback(self.database.close)
        self.rpc = rpc_transport(
            messaging_conf(MEMORY_URL, rpc_topic_prefix=f"{uuid.uuid4().hex[:8]}.", rpc_cast_timeout_s=2.0)
        )
        self._cleanup.callback(self.rpc.close)
        self.api, self.task, self.conductor = (
            self.lifecycle(kind) for kind in (ServerType.API, ServerType.TASK, ServerType.CONDUCTOR)
        )
        self.objects = DirectoryStore(root / "backups")
        self.launcher = ThreadLauncher(
            lambda guest_dir: agent(
                guest_dir,
                rpc=self.rpc,
                registry=registry(),
                engines=EngineSettings(engines_dir=root / "engines"),
                report_interval_s=0.2,
                objects=self.objects,
            )
        )
        settings = LocalSettings(min_free_gib=min_free_gib, ports=instance_ports())
        self.local_cloud = LocalCloud(root, DEFAULT_FLAVORS, self.launcher, settings, separate_users=False)
        self.cloud: Cloud = cloud or self.local_cloud

    def __enter__(self) -> Self:
        self._started(CONDUCTOR.server(self.rpc, server="test", endpoint=Reports(self.conductor)))
        self._cleanup.callback(self.local_cloud.stop_guests)
        tasks = InstanceTasks(self.task, self.cloud, self.guest, objects=self.objects)
        self._started(TASKMANAGER.server(self.rpc, server="test", endpoint=tasks))
        services = Services(
            database=self.database,
            lifecycle=self.api,
            taskmanager=TaskmanagerClient(self.rpc),
            guest=self.guest,
            cloud=self.cloud,
            datastores=registry(),
            authenticator=NoAuth(),
            policy=Policy(guards()),
        )
        self._client = testing.TestClient(build_app(services))
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._cleanup.close()

    def lifecycle(self, server_type: ServerType) -> Lifecycle:
        """Return the lifecycle of a service of this control plane."""
        port = 8779 if server_type is ServerType.API else 0
        emitter = Emitter(server_type, "control-1", f"127.0.0.1:{port}", f"{server_type}-1")
        return Lifecycle(self.database, Announcer(emitter), service_ids=NOTIFICATION_SERVICE_IDS)

    def guest(self, instance_id: str) -> GuestClient:
        return GuestClient(self.rpc, instance_id, timeout_s=5.0, restart_timeout_s=self.restart_timeout_s)

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Call the API as a client does; `path` is below the project."""
        result = self._client.simulate_request(
            method,
            f"/v1.0/{PROJECT}{path}",
            body=None if body is None else json.dumps(body),
            headers={"Host": "127.0.0.1:8779", "Content-Type": "application/json"},
            extras={"REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "40123"},
        )
        return result.status_code, json.loads(result.content) if result.content else None

    def create(self, **fields: Any) -> str:
        """Ask for an instance and return its id; it is being built."""
        asked = {
            "name": "books",
            "flavorRef": DEFAULT_FLAVORS[0].id,
            "volume": {"size": 1},
            "datastore": {"type": "postgresql", "version": "17"},
            **fields,
        }
        status, body = self.call("POST", "/instances", {"instance": asked})
        assert status == 200, body
        return str(body["instance"]["id"])

    def active(self, **fields: Any) -> str:
        """Create an instance and wait until it is ACTIVE."""
        instance_id = self.create(**fields)
        self.wait_for_state(instance_id, InstanceState.ACTIVE)
        return instance_id

    def server(self, instance_id: str) -> MemoryServer:
        """Return the database server of an instance."""
        return server_of(instance_id)

    def instance(self, instance_id: str) -> Instance:
        with self.database.reading() as tx:
            found = instances.get(tx, instance_id)
        assert found is not None
        return found

    def wait_for_state(self, instance_id: str, state: InstanceState) -> None:
        wait_for(
            lambda: self.instance(instance_id).state == state, PATIENCE_S, f"{instance_id} to be {state}"
        )

    def open_runs(self) -> list[str]:
        with self.database.reading() as tx:
            return [run.run_id for run in runs.open_runs(tx)]

    def wait_until_idle(self) -> None:
        """Wait until no run is open."""
        wait_for(lambda: not self.open_runs(), PATIENCE_S, "every run to end")

    def events(self) -> list[Notification]:
        """Return everything that was announced, in order."""
        with self.database.reading() as tx:
            return [unseal(pending.body) for pending in outbox.head(tx, 100_000)]

    def told(self, like: Callable[[Notification], bool] = lambda _: True) -> list[str]:
        """Return the types of what was announced."""
        return [event.event_type.removeprefix("dbaas.") for event in self.events() if like(event)]

    def event(self, event_type: str) -> Notification:
        """Return the only event of a type, once it is there."""
        found = wait_for(
            lambda: [event for event in self.events() if event.event_type == event_type],
            PATIENCE_S,
            event_type,
        )
        (event,) = found
        return event

    def _started(self, server: RpcServer) -> None:
        server.start()
        self._cleanup.callback(server.stop)
