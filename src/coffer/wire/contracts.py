"""The contracts between the services: topics, versions, methods, and a typed client for each.

Changes add: a new method or an optional argument raises the minor version. A server skips arguments that it
does not know, and a client gets `not_implemented` for methods that the server does not have.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from coffer.catalogue.errors import DispatchFailed, GuestUnreachable
from coffer.wire.context import TroveContext
from coffer.wire.delivery import NotDeliveredError
from coffer.wire.json import JSON
from coffer.wire.rpc import RpcClient, RpcServer, RpcTimeout, RpcTransport

Database = Mapping[str, JSON]
"""`{"name", "character_set"?, "collate"?}`"""
User = Mapping[str, JSON]
"""`{"name", "password", "host"?, "databases": [{"name"}]}`"""


@dataclass(frozen=True, slots=True)
class Contract:
    """What a service promises: its topic, its version, and the methods that may be called from outside."""

    service: str
    topic: str
    version: str
    methods: frozenset[str]

    def client(self, transport: RpcTransport) -> RpcClient:
        """Return a client of whichever server of the topic is free."""
        return RpcClient(transport, topic=self.topic, version=self.version, service=self.service)

    def server(self, transport: RpcTransport, *, server: str, endpoint: object) -> RpcServer:
        """Return a stopped server; `server` tells the servers of the topic apart.

        Raises:
            TypeError: if `endpoint` lacks a method of the contract.
        """
        return RpcServer(
            transport,
            topic=self.topic,
            server=server,
            endpoint=endpoint,
            version=self.version,
            methods=self.methods,
        )


TASKMANAGER = Contract(
    service="taskmanager",
    topic="trove-taskmanager",
    version="1.0",
    methods=frozenset({"create_instance", "restart_instance", "delete_instance"}),
)
CONDUCTOR = Contract(
    service="conductor",
    topic="trove-conductor",
    version="1.0",
    methods=frozenset({"heartbeat", "notify_end", "notify_exc_info"}),
)

GUEST_SERVER = "guest"
"""Each guest has a topic of its own, so all its servers are called the same."""


def guest_contract(instance_id: str) -> Contract:
    """Return the contract of the guest agent of one instance."""
    return Contract(
        service="guest agent",
        topic=f"guestagent.{instance_id}",
        version="1.0",
        methods=frozenset(
            {
                "prepare",
                "create_database",
                "delete_database",
                "create_user",
                "delete_user",
                "list_databases",
                "list_users",
                "get_user",
                "list_access",
                "enable_root",
                "is_root_enabled",
                "restart",
                "stop",
                "status",
            }
        ),
    )


class TaskmanagerClient:
    """Hands tasks to the taskmanager; all are casts, and all raise DispatchFailed when nobody takes them."""

    def __init__(self, transport: RpcTransport) -> None:
        """Send through `transport`."""
        self._rpc = TASKMANAGER.client(transport)

    def create_instance(
        self, ctx: TroveContext, instance_id: str, databases: Sequence[Database], users: Sequence[User]
    ) -> None:
        """Make the server of an instance and prepare it."""
        self._rpc.cast(
            ctx,
            "create_instance",
            instance_id=instance_id,
            databases=[dict(each) for each in databases],
            users=[dict(each) for each in users],
        )

    def restart_instance(self, ctx: TroveContext, instance_id: str) -> None:
        """Restart the database server of an instance."""
        self._rpc.cast(ctx, "restart_instance", instance_id=instance_id)

    def delete_instance(self, ctx: TroveContext, instance_id: str) -> None:
        """Remove an instance and everything of it."""
        self._rpc.cast(ctx, "delete_instance", instance_id=instance_id)


class ConductorClient:
    """What a guest agent may tell the control plane; all are casts, and may raise DispatchFailed.

    The run that a report is about is in the context's `notification`.
    """

    def __init__(self, transport: RpcTransport) -> None:
        """Send through `transport`."""
        self._rpc = CONDUCTOR.client(transport)

    def heartbeat(self, ctx: TroveContext, instance_id: str, status: str, sent_at: str) -> None:
        """Say that the guest lives and how its server is; `sent_at` is ISO 8601 with zone."""
        self._rpc.cast(ctx, "heartbeat", instance_id=instance_id, status=status, sent_at=sent_at)

    def notify_end(self, ctx: TroveContext, instance_id: str, traits: Mapping[str, JSON]) -> None:
        """Say that the run ended well."""
        self._rpc.cast(ctx, "notify_end", instance_id=instance_id, traits=dict(traits))

    def notify_exc_info(
        self, ctx: TroveContext, instance_id: str, etype: str, value: Mapping[str, JSON], trace: str
    ) -> None:
        """Say that the run failed.

        `etype` is an error code of the catalogue with `value` = `{"data", "message"}`, or else the name of
        the exception's class.
        """
        self._rpc.cast(
            ctx, "notify_exc_info", instance_id=instance_id, etype=etype, value=dict(value), trace=trace
        )


class GuestClient:
    """Speaks to the guest agent of one instance.

    The casts raise DispatchFailed; the calls raise GuestUnreachable, or what the guest raised.
    """

    def __init__(
        self,
        transport: RpcTransport,
        instance_id: str,
        *,
        timeout_s: float = 15.0,
        restart_timeout_s: float = 180.0,
    ) -> None:
        """Wait `timeout_s` for answers, `restart_timeout_s` where the server starts or stops."""
        self._transport = transport
        self._instance_id = instance_id
        self._contract = guest_contract(instance_id)
        self._rpc = self._contract.client(transport)
        self._timeout_s = timeout_s
        self._restart_timeout_s = restart_timeout_s

    def declare(self) -> None:
        """Make the guest's queue, so that what is sent before its agent has started waits for it.

        Raises:
            DispatchFailed: if the broker is not there.
        """
        try:
            self._transport.declare(self._contract.topic, GUEST_SERVER)
        except NotDeliveredError as error:
            raise DispatchFailed(service=self._contract.service) from error

    def prepare(self, ctx: TroveContext, databases: Sequence[Database], users: Sequence[User]) -> None:
        """Make the database server of a new instance; waits in the queue until the agent has started."""
        self.declare()
        self._rpc.cast(
            ctx,
            "prepare",
            databases=[dict(each) for each in databases],
            users=[dict(each) for each in users],
        )

    def create_database(self, ctx: TroveContext, database: Database) -> None:
        """Create a database."""
        self._rpc.cast(ctx, "create_database", database=dict(database))

    def delete_database(self, ctx: TroveContext, name: str) -> None:
        """Drop a database."""
        self._rpc.cast(ctx, "delete_database", name=name)

    def create_user(self, ctx: TroveContext, user: User) -> None:
        """Create a user with access to its databases."""
        self._rpc.cast(ctx, "create_user", user=dict(user))

    def delete_user(self, ctx: TroveContext, name: str, host: str | None = None) -> None:
        """Drop a user."""
        self._rpc.cast(ctx, "delete_user", name=name, host=host)

    def list_databases(self, ctx: TroveContext) -> list[dict[str, JSON]]:
        """Return `[{"name"}]`, without the engine's own."""
        return _rows(self._call(ctx, "list_databases"))

    def list_users(self, ctx: TroveContext) -> list[dict[str, JSON]]:
        """Return `[{"name", "host", "databases": [{"name"}]}]`, without the engine's own."""
        return _rows(self._call(ctx, "list_users"))

    def get_user(self, ctx: TroveContext, name: str, host: str | None = None) -> dict[str, JSON]:
        """Return one user as `list_users` does.

        Raises:
            NotFound: if there is none.
        """
        return _row(self._call(ctx, "get_user", name=name, host=host))

    def list_access(self, ctx: TroveContext, name: str, host: str | None = None) -> list[dict[str, JSON]]:
        """Return the databases that a user may use, as `[{"name"}]`.

        Raises:
            NotFound: if there is no such user.
        """
        return _rows(self._call(ctx, "list_access", name=name, host=host))

    def enable_root(self, ctx: TroveContext, password: str | None = None) -> dict[str, JSON]:
        """Enable the superuser and return `{"name", "password"}`; without `password` the guest makes one."""
        return _row(self._call(ctx, "enable_root", password=password))

    def is_root_enabled(self, ctx: TroveContext) -> bool:
        """True once root was enabled on this instance."""
        return self._call(ctx, "is_root_enabled") is True

    def restart(self, ctx: TroveContext) -> None:
        """Restart the database server and wait until it serves again."""
        self._call(ctx, "restart", timeout_s=self._restart_timeout_s)

    def stop(self, ctx: TroveContext) -> None:
        """Stop the database server."""
        self._call(ctx, "stop", timeout_s=self._restart_timeout_s)

    def status(self, ctx: TroveContext) -> str:
        """Return the state of the database server, a `ServiceStatus`."""
        return str(self._call(ctx, "status"))

    def _call(
        self, ctx: TroveContext, method: str, /, *, timeout_s: float | None = None, **args: JSON
    ) -> JSON:
        limit_s = timeout_s or self._timeout_s
        try:
            return self._rpc.call(ctx, method, timeout_s=limit_s, **args)
        except (RpcTimeout, DispatchFailed) as error:
            raise GuestUnreachable(id=self._instance_id, timeout_s=limit_s) from error


GuestFactory = Callable[[str], GuestClient]
"""Gives the client of the guest agent of an instance id."""


def _rows(value: JSON) -> list[dict[str, JSON]]:
    """Return what a guest answered as rows; whatever is no row is left out (guests are strangers)."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _row(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}
