"""The tenant's users."""

from collections.abc import Mapping

from coffer.guestagent.shapes import host_from, names_to_json, user_from, user_to_json
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
