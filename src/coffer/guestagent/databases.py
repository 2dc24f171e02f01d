"""The tenant's databases."""

from collections.abc import Mapping

from coffer.guestagent.shapes import database_from, names_to_json
from coffer.guestagent.work import Work
from coffer.wire.context import TroveContext
from coffer.wire.json import JSON


class Databases:
    """The calls about databases."""

    _work: Work

    def create_database(self, ctx: TroveContext, database: Mapping[str, JSON]) -> None:
        """Create a database; reported."""
        self._work.in_background(ctx, lambda: self._work.driver.create_database(database_from(database)))

    def delete_database(self, ctx: TroveContext, name: str) -> None:
        """Delete a database; reported."""
        self._work.in_background(ctx, lambda: self._work.driver.delete_database(name))

    def list_databases(self, ctx: TroveContext) -> list[JSON]:
        """Return `[{"name"}]`."""
        del ctx
        return names_to_json(self._work.driver.list_databases())
