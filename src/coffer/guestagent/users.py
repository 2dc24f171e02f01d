"""The tenant's users."""

from collections.abc import Mapping

from coffer.datastores.driver import UserChanges
from coffer.guestagent.shapes import changes_from, host_from, names_to_json, user_from, user_to_json
from coffer.guestagent.work import Work
from coffer.wire.context import TroveContext
from coffer.wire.json import JSON


class Users:
    """The calls about users."""

    _work: Work

    def create_user(self, ctx: TroveContext, user: Mapping[str, JSON]) -> None:
        """Create a user; reported."""
        self._work.in_background(ctx, lambda: self._work.driver.create_user(user_from(user)))

    def delete_user(self, ctx: TroveContext, name: str, host: str | None = None) -> None:
        """Delete a user; reported."""
        self._work.in_background(ctx, lambda: self._work.driver.delete_user(name, host_from(host)))

    def update_attributes(
        self, ctx: TroveContext, name: str, changes: Mapping[str, JSON], host: str | None = None
    ) -> None:
        """Change the name, the password or the host of a user; reported."""
        self._work.in_background(
            ctx, lambda: self._work.driver.update_user(name, host_from(host), changes_from(changes))
        )

    def change_password(self, ctx: TroveContext, user: Mapping[str, JSON]) -> None:
        """Give a user a new password; reported."""

        def change() -> None:
            asked = user_from(user)
            self._work.driver.update_user(asked.name, asked.host, UserChanges(password=asked.password))

        self._work.in_background(ctx, change)

    def grant_access(self, ctx: TroveContext, name: str, database: str, host: str | None = None) -> None:
        """Let a user into a database; the caller waits."""
        del ctx
        self._work.at_once(lambda: self._work.driver.grant_access(name, host_from(host), database))

    def revoke_access(self, ctx: TroveContext, name: str, database: str, host: str | None = None) -> None:
        """Keep a user out of a database; the caller waits."""
        del ctx
        self._work.at_once(lambda: self._work.driver.revoke_access(name, host_from(host), database))

    def list_users(self, ctx: TroveContext) -> list[JSON]:
        """Return `[{"name", "host", "databases": [{"name"}]}]`."""
        del ctx
        return [user_to_json(each) for each in self._work.driver.list_users()]

    def get_user(self, ctx: TroveContext, name: str, host: str | None = None) -> dict[str, JSON]:
        """Return one user as `list_users` does."""
        del ctx
        return user_to_json(self._work.driver.get_user(name, host_from(host)))

    def list_access(self, ctx: TroveContext, name: str, host: str | None = None) -> list[JSON]:
        """Return the databases that a user may enter, as `[{"name"}]`."""
        del ctx
        return names_to_json(self._work.driver.list_access(name, host_from(host)))
