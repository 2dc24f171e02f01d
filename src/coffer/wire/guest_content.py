"""What a guest agent does in its server: databases, users, their access, and the superuser."""

from collections.abc import Mapping

from coffer.wire.context import TroveContext
from coffer.wire.contracts import Database, User
from coffer.wire.guest_calls import GuestCalls, as_row, as_rows
from coffer.wire.json import JSON


class GuestContent(GuestCalls):
    """Databases, users, access and root of one instance."""

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
        return as_rows(self._call(ctx, "list_databases"))

    def list_users(self, ctx: TroveContext) -> list[dict[str, JSON]]:
        """Return `[{"name", "host", "databases": [{"name"}]}]`, without the engine's own."""
        return as_rows(self._call(ctx, "list_users"))

    def get_user(self, ctx: TroveContext, name: str, host: str | None = None) -> dict[str, JSON]:
        """Return one user as `list_users` does.

        Raises:
            NotFound: if there is none.
        """
        return as_row(self._call(ctx, "get_user", name=name, host=host))

    def list_access(self, ctx: TroveContext, name: str, host: str | None = None) -> list[dict[str, JSON]]:
        """Return the databases that a user may use, as `[{"name"}]`.

        Raises:
            NotFound: if there is no such user.
        """
        return as_rows(self._call(ctx, "list_access", name=name, host=host))

    def enable_root(self, ctx: TroveContext, password: str | None = None) -> dict[str, JSON]:
        """Enable the superuser and return `{"name", "password"}`; without `password` the guest makes one."""
        return as_row(self._call(ctx, "enable_root", password=password))

    def disable_root(self, ctx: TroveContext) -> None:
        """Take the superuser away from the tenant; idempotent."""
        self._call(ctx, "disable_root")

    def is_root_enabled(self, ctx: TroveContext) -> bool:
        """True once root was enabled on this instance."""
        return self._call(ctx, "is_root_enabled") is True
