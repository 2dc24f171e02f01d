"""The parameters that the tenant's configuration group gives his server."""

from collections.abc import Mapping
from datetime import UTC, datetime

from coffer.catalogue.errors import GuestFailed
from coffer.guestagent.shapes import moment_from, parameters_from
from coffer.guestagent.work import Work
from coffer.wire.context import TroveContext
from coffer.wire.json import JSON


class Configurations:
    """The calls about the configuration; callers wait for the answer."""

    _work: Work

    def check_configuration(self, ctx: TroveContext, parameters: Mapping[str, JSON]) -> None:
        """Refuse parameters that the server does not take; nothing changes."""
        del ctx
        self._work.driver.check_configuration(parameters_from(parameters))

    def apply_configuration(
        self, ctx: TroveContext, parameters: Mapping[str, JSON], until: str | None = None
    ) -> dict[str, JSON]:
        """Let the server run with these parameters instead of those before; return `{"restart_required"}`.

        A guest that was away finds calls that were given up meanwhile, and what they wanted may no longer be so:
        after the moment `until` nothing is done.
        """
        del ctx
        wanted = parameters_from(parameters)
        limit = None if until is None else moment_from(until)

        def unless_late() -> bool:
            if limit is not None and datetime.now(UTC) > limit:
                raise GuestFailed(reason="The order for another configuration came too late.")
            return self._work.driver.apply_configuration(wanted)

        return {"restart_required": self._work.at_once(unless_late)}
