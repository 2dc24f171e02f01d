"""The contracts between the services: topics, versions, methods, and a typed client for each.

Changes add: a new method or an optional argument raises the minor version. A server skips arguments that it
does not know, and a client gets `not_implemented` for methods that the server does not have.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

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
    methods=frozenset(
        {"create_instance", "restart_instance", "delete_instance", "resize_instance", "resize_volume"}
        | {"abandon_instance"}
        | {"restore_instance", "create_backup", "delete_backup"}
    ),
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
                "restore",
                "create_backup",
                "create_database",
                "delete_database",
                "create_user",
                "delete_user",
                "update_attributes",
                "change_password",
                "grant_access",
                "revoke_access",
                "list_databases",
                "list_users",
                "get_user",
                "list_access",
                "enable_root",
                "disable_root",
                "is_root_enabled",
                "check_configuration",
                "apply_configuration",
                "resize",
                "resize_volume",
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

    def restore_instance(
        self,
        ctx: TroveContext,
        instance_id: str,
        backup_id: str,
        databases: Sequence[Database],
        users: Sequence[User],
    ) -> None:
        """Make the server of an instance from a backup, then as `create_instance` does.

        A method of its own: an argument that a taskmanager does not know it would skip, and make an empty server.
        """
        self._rpc.cast(
            ctx,
            "restore_instance",
            instance_id=instance_id,
            backup_id=backup_id,
            databases=[dict(each) for each in databases],
            users=[dict(each) for each in users],
        )

    def create_backup(self, ctx: TroveContext, backup_id: str) -> None:
        """Have the guest of its instance make a backup."""
        self._rpc.cast(ctx, "create_backup", backup_id=backup_id)

    def delete_backup(self, ctx: TroveContext, backup_id: str) -> None:
        """Remove a backup and those that build on it."""
        self._rpc.cast(ctx, "delete_backup", backup_id=backup_id)

    def restart_instance(self, ctx: TroveContext, instance_id: str) -> None:
        """Restart the database server of an instance."""
        self._rpc.cast(ctx, "restart_instance", instance_id=instance_id)

    def delete_instance(self, ctx: TroveContext, instance_id: str) -> None:
        """Remove an instance and everything of it."""
        self._rpc.cast(ctx, "delete_instance", instance_id=instance_id)

    def abandon_instance(self, ctx: TroveContext, instance_id: str) -> None:
        """Remove what was made for an instance whose creation was given up; no run is about it."""
        self._rpc.cast(ctx, "abandon_instance", instance_id=instance_id)

    def resize_instance(self, ctx: TroveContext, instance_id: str, flavor_id: str) -> None:
        """Give an instance another flavor."""
        self._rpc.cast(ctx, "resize_instance", instance_id=instance_id, flavor_id=flavor_id)

    def resize_volume(self, ctx: TroveContext, instance_id: str, volume_gib: int) -> None:
        """Enlarge the volume of an instance."""
        self._rpc.cast(ctx, "resize_volume", instance_id=instance_id, volume_gib=volume_gib)


class ConductorClient:
    """What a guest agent may tell the control plane; all are casts, and may raise DispatchFailed.

    The run that a report is about is in the context's `notification`.
    """

    def __init__(self, transport: RpcTransport) -> None:
        """Send through `transport`."""
        self._rpc = CONDUCTOR.client(transport)

    def heartbeat(
        self,
        ctx: TroveContext,
        instance_id: str,
        status: str,
        sent_at: str,
        *,
        volume_used_bytes: int | None = None,
    ) -> None:
        """Say that the guest lives and how its server is; `sent_at` is ISO 8601 with zone."""
        self._rpc.cast(
            ctx,
            "heartbeat",
            instance_id=instance_id,
            status=status,
            sent_at=sent_at,
            volume_used_bytes=volume_used_bytes,
        )

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

    def prepare(
        self,
        ctx: TroveContext,
        databases: Sequence[Database],
        users: Sequence[User],
        *,
        configuration: Mapping[str, str] | None = None,
    ) -> None:
        """Make the database server of a new instance; waits in the queue until the agent has started."""
        self.declare()
        self._rpc.cast(
            ctx,
            "prepare",
            databases=[dict(each) for each in databases],
            users=[dict(each) for each in users],
            configuration=dict(configuration or {}),
        )

    def restore(
        self,
        ctx: TroveContext,
        backups: Sequence[Mapping[str, JSON]],
        databases: Sequence[Database],
        users: Sequence[User],
        *,
        configuration: Mapping[str, str] | None = None,
    ) -> None:
        """Make the database server of a new instance from backups; otherwise as `prepare`.

        `backups` are `{"id", "archive", "checksum"}`, the full one first, then each that builds on the one before.
        """
        self.declare()
        self._rpc.cast(
            ctx,
            "restore",
            backups=[dict(each) for each in backups],
            databases=[dict(each) for each in databases],
            users=[dict(each) for each in users],
            configuration=dict(configuration or {}),
        )

    def create_backup(self, ctx: TroveContext, backup: Mapping[str, JSON]) -> None:
        """Copy the data into the object store; `backup` is `{"archive", "manifest", "parent_manifest"?}`, names.

        The report says `size_bytes` and `checksum`.
        """
        self._rpc.cast(ctx, "create_backup", backup=dict(backup))

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

    def update_attributes(
        self, ctx: TroveContext, name: str, host: str | None, changes: Mapping[str, JSON]
    ) -> None:
        """Change a user; `changes` is `{"name"?, "password"?, "host"?}`."""
        self._rpc.cast(ctx, "update_attributes", name=name, host=host, changes=dict(changes))

    def change_password(self, ctx: TroveContext, user: User) -> None:
        """Give a user a new password; `user` is `{"name", "password", "host"?}`."""
        self._rpc.cast(ctx, "change_password", user=dict(user))

    def grant_access(self, ctx: TroveContext, name: str, host: str | None, database: str) -> None:
        """Let a user into a database and wait until it is done; idempotent.

        Raises:
            NotFound: if there is no such user or database.
        """
        self._call(ctx, "grant_access", name=name, host=host, database=database)

    def revoke_access(self, ctx: TroveContext, name: str, host: str | None, database: str) -> None:
        """Keep a user out of a database and wait until it is done.

        Raises:
            NotFound: if there is no such user or database, or if he was not let in before.
        """
        self._call(ctx, "revoke_access", name=name, host=host, database=database)

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

    def disable_root(self, ctx: TroveContext) -> None:
        """Take the superuser away from the tenant; idempotent."""
        self._call(ctx, "disable_root")

    def is_root_enabled(self, ctx: TroveContext) -> bool:
        """True once root was enabled on this instance."""
        return self._call(ctx, "is_root_enabled") is True

    def resize(self, ctx: TroveContext, ram_mib: int, *, asked_at: str, is_awaited: bool = True) -> None:
        """Divide the memory of another flavor: the server restarts.

        The guest does what was asked for last (`asked_at`, ISO 8601 with zone), in whatever order it hears of it.
        Without `is_awaited` it is a cast, which waits for a guest that is away.
        """
        self._order(ctx, "resize", is_awaited=is_awaited, ram_mib=ram_mib, asked_at=asked_at)

    def resize_volume(
        self, ctx: TroveContext, volume_gib: int, *, asked_at: str, is_awaited: bool = True
    ) -> None:
        """Hold the server to another size of its volume; see `resize`."""
        self._order(ctx, "resize_volume", is_awaited=is_awaited, volume_gib=volume_gib, asked_at=asked_at)

    def check_configuration(self, ctx: TroveContext, parameters: Mapping[str, str]) -> None:
        """Ask whether the server would start with these parameters.

        Raises:
            InvalidParameter: if it would not.
        """
        self._call(ctx, "check_configuration", timeout_s=2 * self._timeout_s, parameters=dict(parameters))

    def apply_configuration(self, ctx: TroveContext, parameters: Mapping[str, str]) -> dict[str, JSON]:
        """Give the server these parameters instead of those before; return `{"restart_required"}`.

        Raises:
            InvalidParameter: if it would not start with them; it keeps those before.
        """
        limit_s = 2 * self._timeout_s
        until = (datetime.now(UTC) + timedelta(seconds=limit_s)).isoformat()
        return _row(
            self._call(
                ctx, "apply_configuration", timeout_s=limit_s, parameters=dict(parameters), until=until
            )
        )

    def restart(self, ctx: TroveContext, *, configuration: Mapping[str, str] | None = None) -> None:
        """Restart the database server, with these parameters if they are given; wait until it serves again."""
        sent: JSON = None if configuration is None else dict(configuration)
        self._call(ctx, "restart", timeout_s=self._restart_timeout_s, configuration=sent)

    def stop(self, ctx: TroveContext) -> None:
        """Stop the database server."""
        self._call(ctx, "stop", timeout_s=self._restart_timeout_s)

    def status(self, ctx: TroveContext) -> str:
        """Return the state of the database server, a `ServiceStatus`."""
        return str(self._call(ctx, "status"))

    def _order(self, ctx: TroveContext, method: str, /, *, is_awaited: bool, **args: JSON) -> None:
        if not is_awaited:
            self._rpc.cast(ctx, method, **args)
            return
        # A guest that was away finds the order when it is back; it must not follow what was given up long ago.
        until = datetime.now(UTC) + timedelta(seconds=self._restart_timeout_s)
        self._call(ctx, method, timeout_s=self._restart_timeout_s, until=until.isoformat(), **args)

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
