"""The database server itself."""

from collections.abc import Mapping, Sequence

from coffer.guestagent.shapes import database_from, user_from
from coffer.guestagent.work import Work
from coffer.wire.context import TroveContext
from coffer.wire.json import JSON


class Service:
    """The calls about the server."""

    _work: Work

    def prepare(
        self, ctx: TroveContext, databases: Sequence[Mapping[str, JSON]], users: Sequence[Mapping[str, JSON]]
    ) -> None:
        """Make the server with these databases and users; reported."""

        def change() -> None:
            with self._work.preparing():
                self._work.driver.prepare(
                    [database_from(each) for each in databases], [user_from(each) for each in users]
                )

        self._work.in_background(ctx, change)

    def restart(self, ctx: TroveContext) -> None:
        """Restart the server; the caller waits until it serves again."""
        del ctx
        self._work.at_once(self._work.driver.restart)

    def stop(self, ctx: TroveContext) -> None:
        """Stop the server; the caller waits."""
        del ctx
        self._work.at_once(self._work.driver.stop)

    def status(self, ctx: TroveContext) -> str:
        """Return the state of the server, a `ServiceStatus`."""
        del ctx
        return self._work.status().value
