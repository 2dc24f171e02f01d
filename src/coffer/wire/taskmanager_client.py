"""What the API asks of the taskmanager."""

from collections.abc import Sequence

from coffer.wire.context import TroveContext
from coffer.wire.contracts import TASKMANAGER, Database, User
from coffer.wire.rpc import RpcTransport


class TaskmanagerClient:
    """Hands tasks to the taskmanager; all are casts, and all raise DispatchFailed when nobody takes them."""

    def __init__(self, transport: RpcTransport, *, pin: str | None = None) -> None:
        """Send through `transport`; no taskmanager is older than the version `pin`."""
        self._rpc = TASKMANAGER.client(transport, pin=pin)

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

    def create_replica(self, ctx: TroveContext, instance_id: str) -> None:
        """Make the server of a replica, whose row says of what."""
        self._rpc.cast(ctx, "create_replica", instance_id=instance_id)

    def promote_instance(self, ctx: TroveContext, instance_id: str) -> None:
        """Let a replica take the place of its source, which follows it from then on."""
        self._rpc.cast(ctx, "promote_instance", instance_id=instance_id)

    def eject_instance(self, ctx: TroveContext, instance_id: str) -> None:
        """Let the best of its replicas take the place of a dead source."""
        self._rpc.cast(ctx, "eject_instance", instance_id=instance_id)

    def detach_instance(self, ctx: TroveContext, instance_id: str) -> None:
        """Make a replica an instance of its own."""
        self._rpc.cast(ctx, "detach_instance", instance_id=instance_id)

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
