"""An API to call in a test: the real application, lifecycle, SQLite database and RPC; who listens only writes down.

Nothing of ours is replaced but the far ends: a taskmanager that notes its tasks and a guest that has its databases
and users in a dictionary.
"""

import json
import threading
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

from falcon import testing
from tests.support.messaging import MEMORY_URL, messaging_conf
from tests.support.rows import new_instance
from tests.support.waiting import wait_for

from coffer.api.app import build_app
from coffer.api.auth import Authenticator, NoAuth
from coffer.api.policy import Policy
from coffer.api.routes import guards
from coffer.api.services import Services
from coffer.api.settings import ApiSettings
from coffer.catalogue.errors import CofferError, NotFound
from coffer.catalogue.operations import ServerType
from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.clouds.cloud import Flavor
from coffer.clouds.local.flavors import DEFAULT_FLAVORS
from coffer.datastores.registry import discover
from coffer.lifecycle.announcer import Announcer
from coffer.lifecycle.emitter import Emitter, utcnow
from coffer.lifecycle.runs import Lifecycle
from coffer.store import instances, outbox, runs
from coffer.store.database import Database, Tx
from coffer.store.instances import Instance
from coffer.wire.context import TroveContext
from coffer.wire.contracts import GUEST_SERVER, TASKMANAGER, guest_contract
from coffer.wire.envelope import Notification, unseal
from coffer.wire.guest_client import GuestClient
from coffer.wire.rpc import RpcServer
from coffer.wire.taskmanager_client import TaskmanagerClient
from coffer.wire.transport import rpc_transport

PROJECT = "project-1"
FLAVOR = DEFAULT_FLAVORS[0]
GUEST_TIMEOUT_S = 0.5
ANSWER_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Cast:
    """A task that somebody was handed."""

    method: str
    args: dict[str, Any]
    context: TroveContext


class Notes:
    """What somebody was asked to do, in order."""

    def __init__(self) -> None:
        self._casts: list[Cast] = []
        self._changed = threading.Condition()

    def add(self, method: str, context: TroveContext, args: Mapping[str, Any]) -> None:
        with self._changed:
            self._casts.append(Cast(method=method, args=dict(args), context=context))

    def casts(self, count: int) -> list[Cast]:
        """Wait for `count` tasks and return them; order between them is the broker's."""
        wait_for(lambda: len(self._casts) >= count, ANSWER_TIMEOUT_S, f"{count} tasks")
        assert len(self._casts) == count
        return list(self._casts)

    @property
    def count(self) -> int:
        return len(self._casts)


class TaskmanagerDouble:
    """Takes the tasks of the taskmanager's contract and does none of them."""

    def __init__(self) -> None:
        self.notes = Notes()

    def __getattr__(self, method: str) -> Any:
        if method not in TASKMANAGER.methods:
            raise AttributeError(method)

        def take(ctx: TroveContext, **args: Any) -> None:
            self.notes.add(method, ctx, args)

        return take

    def restore_instance(self, ctx: TroveContext, **args: Any) -> None:
        self.notes.add("restore_instance", ctx, args)

    def create_backup(self, ctx: TroveContext, **args: Any) -> None:
        self.notes.add("create_backup", ctx, args)

    def delete_backup(self, ctx: TroveContext, **args: Any) -> None:
        self.notes.add("delete_backup", ctx, args)


@dataclass
class GuestDouble:
    """A guest agent over a server that is a dictionary. Casts are only noted, as their effect comes later anyway."""

    databases: list[str] = field(default_factory=list)
    users: dict[str, list[str]] = field(default_factory=dict)
    root_password: str | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    """By method: what to answer instead of the truth; an exception is raised."""
    notes: Notes = field(default_factory=Notes)

    def prepare(self, ctx: TroveContext, **args: Any) -> None:
        self.notes.add("prepare", ctx, args)

    def create_database(self, ctx: TroveContext, **args: Any) -> None:
        self.notes.add("create_database", ctx, args)

    def delete_database(self, ctx: TroveContext, **args: Any) -> None:
        self.notes.add("delete_database", ctx, args)

    def create_user(self, ctx: TroveContext, **args: Any) -> None:
        self.notes.add("create_user", ctx, args)

    def delete_user(self, ctx: TroveContext, **args: Any) -> None:
        self.notes.add("delete_user", ctx, args)

    def update_attributes(self, ctx: TroveContext, **args: Any) -> None:
        self.notes.add("update_attributes", ctx, args)

    def change_password(self, ctx: TroveContext, **args: Any) -> None:
        self.notes.add("change_password", ctx, args)

    def grant_access(self, ctx: TroveContext, name: str, database: str, host: str | None = None) -> None:
        assert ctx.notification is None, "what the API ends is no business of the guest"
        self.answer("grant_access", None)
        self._has(name, database)
        self.users[name] = sorted({*self.users[name], database})

    def revoke_access(self, ctx: TroveContext, name: str, database: str, host: str | None = None) -> None:
        assert ctx.notification is None
        self.answer("revoke_access", None)
        self._has(name, database)
        self.users[name].remove(database)

    def list_databases(self, _ctx: TroveContext) -> Any:
        return self.answer("list_databases", _named(self.databases))

    def list_users(self, _ctx: TroveContext) -> Any:
        return self.answer("list_users", [self._user(name) for name in self.users])

    def get_user(self, _ctx: TroveContext, name: str, host: str | None = None) -> Any:
        if name not in self.users:
            raise NotFound(resource="User", id=name)
        return self.answer("get_user", self._user(name))

    def list_access(self, _ctx: TroveContext, name: str, host: str | None = None) -> Any:
        if name not in self.users:
            raise NotFound(resource="User", id=name)
        return self.answer("list_access", _named(self.users[name]))

    def enable_root(self, _ctx: TroveContext, password: str | None = None) -> Any:
        self.root_password = password or "made-by-the-guest"
        return self.answer("enable_root", {"name": "postgres", "password": self.root_password})

    def disable_root(self, _ctx: TroveContext) -> None:
        self.answer("disable_root", None)
        self.root_password = None

    def is_root_enabled(self, _ctx: TroveContext) -> Any:
        return self.answer("is_root_enabled", self.root_password is not None)

    def check_configuration(self, ctx: TroveContext, **args: Any) -> Any:
        self.notes.add("check_configuration", ctx, args)
        return self.answer("check_configuration", None)

    def apply_configuration(self, ctx: TroveContext, **args: Any) -> Any:
        assert ctx.notification is None, "what the API ends is no business of the guest"
        self.notes.add("apply_configuration", ctx, args)
        return self.answer("apply_configuration", {"restart_required": False})

    def resize(self, _ctx: TroveContext, **args: Any) -> None: ...

    def resize_volume(self, _ctx: TroveContext, **args: Any) -> None: ...

    def restart(self, _ctx: TroveContext) -> None: ...

    def stop(self, ctx: TroveContext) -> None:
        self.notes.add("stop", ctx, {})

    def status(self, _ctx: TroveContext) -> str:
        return "HEALTHY"

    def __getattr__(self, method: str) -> Any:
        """Note what the contract has and no test of the API needs an effect of."""
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda ctx, **args: self.notes.add(method, ctx, args)

    def _has(self, name: str, database: str) -> None:
        if name not in self.users:
            raise NotFound(resource="User", id=name)
        if database not in self.databases:
            raise NotFound(resource="Database", id=database)

    def _user(self, name: str) -> dict[str, Any]:
        return {"name": name, "host": "%", "databases": _named(self.users[name])}

    def answer(self, method: str, truth: Any) -> Any:
        answer = self.answers.get(method, truth)
        if isinstance(answer, CofferError):
            raise answer
        return answer


class FlavorsOnly:
    """Of a cloud, the API asks what is on offer only."""

    def __init__(self, flavors: Sequence[Flavor] = DEFAULT_FLAVORS) -> None:
        self._flavors = flavors

    def flavors(self) -> Sequence[Flavor]:
        return self._flavors

    def zones(self) -> Sequence[str]:
        return ("nova", "nova-2")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as a client sees it."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def title(self) -> str:
        """The name of the error."""
        (title,) = self.body
        return str(title)

    @property
    def message(self) -> str:
        """The sentence of the error."""
        return str(self.body[self.title]["message"])


class World:
    """The application with everything around it; `open` with a database URL, call, look, close."""

    def __init__(
        self,
        database_url: str,
        *,
        roles: tuple[str, ...] = ("member", "reader"),
        authenticator: Authenticator | None = None,
        cloud: object | None = None,
    ) -> None:
        self._cleanup = ExitStack()
        self._answering: set[str] = set()
        self.database = Database(database_url)
        self._cleanup.callback(self.database.close)
        self.rpc = rpc_transport(
            messaging_conf(MEMORY_URL, rpc_topic_prefix=f"{uuid.uuid4().hex[:8]}.", rpc_cast_timeout_s=0.5)
        )
        self._cleanup.callback(self.rpc.close)
        self.taskmanager = TaskmanagerDouble()
        emitter = Emitter(ServerType.API, "control-1", "127.0.0.1:8779", "api-1")
        self.lifecycle = Lifecycle(self.database, Announcer(emitter))
        self.services = Services(
            database=self.database,
            lifecycle=self.lifecycle,
            taskmanager=TaskmanagerClient(self.rpc),
            guest=self._guest,
            cloud=cloud or FlavorsOnly(),  # type: ignore[arg-type]  # the API asks only its flavors
            datastores=discover(),
            authenticator=authenticator or NoAuth(roles=roles),
            policy=Policy(guards()),
            settings=ApiSettings(max_volume_gib=100),
        )
        self.client = testing.TestClient(build_app(self.services))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._cleanup.close()

    def start_taskmanager(self) -> TaskmanagerDouble:
        self._started(TASKMANAGER.server(self.rpc, server="test", endpoint=self.taskmanager))
        return self.taskmanager

    def start_guest(self, instance_id: str, guest: GuestDouble | None = None) -> GuestDouble:
        guest = guest or GuestDouble()
        self._started(guest_contract(instance_id).server(self.rpc, server=GUEST_SERVER, endpoint=guest))
        self._answering.add(instance_id)
        return guest

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        project: str = PROJECT,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **environ: str,
    ) -> Reply:
        """Send a request as the client does; `path` is below the project."""
        sent = {"Host": "127.0.0.1:8779", "Accept": "application/json", "Content-Type": "application/json"}
        path, _, query = path.partition("?")
        result = self.client.simulate_request(
            method,
            f"/v1.0/{project}{path}",
            query_string=query,
            body=raw if raw is not None else (json.dumps(body) if body is not None else None),
            headers={**sent, **(headers or {})},
            extras={"REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "40123", **environ},
        )
        return Reply(
            status=result.status_code,
            body=json.loads(result.content) if result.content else None,
            headers=result.headers,
        )

    def has(self, **fields: Any) -> Instance:
        """Put an instance of the project into the database; a usable and healthy one unless told otherwise."""
        usual = {
            "project_id": PROJECT,
            "state": InstanceState.ACTIVE,
            "service_status": ServiceStatus.HEALTHY,
            "service_seen_at": utcnow(),
            "host": "127.0.0.1",
            "port": 20001,
        }
        instance = new_instance(**{**usual, **fields})
        with self.database.writing() as tx:
            instances.insert(tx, instance)
        return instance

    def make_usable(self, tx: Tx, instance_id: str) -> None:
        """Undo what a call did to an instance's state."""
        instances.update(tx, instance_id, utcnow(), state=InstanceState.ACTIVE)

    def row(self, instance_id: str) -> Instance:
        """Return an instance as the database has it."""
        with self.database.reading() as tx:
            found = instances.get(tx, instance_id)
        assert found is not None
        return found

    def events(self) -> list[Notification]:
        """Return everything that was announced, in order."""
        with self.database.reading() as tx:
            return [unseal(pending.body) for pending in outbox.head(tx, 10_000)]

    def told(self) -> list[str]:
        """Return what was announced as short words: `database_create.start shop`."""
        return [_short(event) for event in self.events()]

    def open_runs(self) -> list[runs.Run]:
        with self.database.reading() as tx:
            return runs.open_runs(tx)

    def _guest(self, instance_id: str) -> GuestClient:
        """Return a client that is impatient only where nobody is there to answer."""
        timeout_s = ANSWER_TIMEOUT_S if instance_id in self._answering else GUEST_TIMEOUT_S
        return GuestClient(self.rpc, instance_id, timeout_s=timeout_s)

    def _started(self, server: RpcServer) -> None:
        server.start()
        self._cleanup.callback(server.stop)


def _named(names: Sequence[str]) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


def _short(event: Notification) -> str:
    names = [event.payload.get(key) for key in ("dbname", "username", "database")]
    item = " ".join(str(name) for name in names if name)
    return f"{event.event_type.removeprefix('dbaas.')} {item}".strip()
