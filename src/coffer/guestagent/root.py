"""The engine's superuser."""

from coffer.guestagent.work import Work
from coffer.wire.context import TroveContext
from coffer.wire.json import JSON


class Root:
    """The calls about the superuser."""

    _work: Work

    def enable_root(self, ctx: TroveContext, password: str | None = None) -> dict[str, JSON]:
        """Enable the superuser and return `{"name", "password"}`: the only place where a password leaves."""
        del ctx
        found = self._work.at_once(lambda: self._work.driver.enable_root(password))
        return {"name": found.name, "password": found.password}

    def disable_root(self, ctx: TroveContext) -> None:
        """Take the superuser away from the tenant."""
        del ctx
        self._work.at_once(self._work.driver.disable_root)

    def is_root_enabled(self, ctx: TroveContext) -> bool:
        """Return whether the superuser can log in."""
        del ctx
        return self._work.driver.is_root_enabled()
