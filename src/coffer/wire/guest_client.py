"""What the control plane asks of the guest agent of one instance."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from coffer.wire.context import TroveContext
from coffer.wire.contracts import Database, User
from coffer.wire.guest_calls import as_row
from coffer.wire.guest_content import GuestContent
from coffer.wire.guest_replication import GuestReplication
from coffer.wire.json import JSON


class GuestClient(GuestContent, GuestReplication):
    """Speaks to the guest agent of one instance: its server, and (by noun, in the base classes) what is in it."""

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

    def take_credentials(self, ctx: TroveContext, credentials: str) -> None:
        """Have the agent use other credentials from now on; it answers with them."""
        self._call(ctx, "take_credentials", credentials=credentials)

    def create_backup(self, ctx: TroveContext, backup: Mapping[str, JSON]) -> None:
        """Copy the data into the object store; `backup` is `{"archive", "manifest", "parent_manifest"?}`, names.

        The report says `size_bytes` and `checksum`.
        """
        self._rpc.cast(ctx, "create_backup", backup=dict(backup))

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
        return as_row(
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


GuestFactory = Callable[[str], GuestClient]
"""Gives the client of the guest agent of an instance id."""
