"""The database server itself."""

from collections.abc import Mapping, Sequence

from coffer.guestagent.shapes import database_from, parameters_from, user_from
from coffer.guestagent.work import Work
from coffer.wire.context import TroveContext
from coffer.wire.json import JSON


class Service:
    """The calls about the server."""

    _work: Work

    def prepare(
        self,
        ctx: TroveContext,
        databases: Sequence[Mapping[str, JSON]],
        users: Sequence[Mapping[str, JSON]],
        configuration: Mapping[str, JSON] | None = None,
    ) -> None:
        """Make the server with these databases, users and parameters; reported."""

        def change() -> None:
            with self._work.preparing():
                self._make(databases, users, configuration)

        self._work.in_background(ctx, change)

    def restart(self, ctx: TroveContext, configuration: Mapping[str, JSON] | None = None) -> None:
        """Restart the server, with these parameters if some are given; the caller waits until it serves again."""
        del ctx

        def change() -> None:
            if configuration is not None:
                wanted = parameters_from(configuration)
                self._work.driver.apply_configuration(wanted, is_restarting=True)
            self._work.driver.restart()

        self._work.at_once(change)

    def stop(self, ctx: TroveContext) -> None:
        """Stop the server; the caller waits."""
        del ctx
        self._work.at_once(self._work.driver.stop)

    def status(self, ctx: TroveContext) -> str:
        """Return the state of the server, a `ServiceStatus`."""
        del ctx
        return self._work.status().value

    def _make(
        self,
        databases: Sequence[Mapping[str, JSON]],
        users: Sequence[Mapping[str, JSON]],
        configuration: Mapping[str, JSON] | None,
    ) -> None:
        """Make the server, or what is missing of it."""
        driver = self._work.driver
        driver.prepare([database_from(each) for each in databases], [user_from(each) for each in users])
        if configuration and driver.apply_configuration(parameters_from(configuration)):
            driver.restart()
