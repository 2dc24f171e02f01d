"""Replication: this server as a source, as a replica, and on its way from the one to the other."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

from coffer.catalogue.errors import BadRequest, GuestFailed
from coffer.guestagent.shapes import moment_from, parameters_from, source_from, source_to_json
from coffer.guestagent.work import PATIENCE_S, Work
from coffer.wire.context import TroveContext
from coffer.wire.json import JSON

Result = TypeVar("Result")

_START_S: Final = 160.0
"""Longer than a driver waits for a server that starts."""


class Replication:
    """The calls about replication; callers wait for the answer, except for `replicate`.

    A guest that was away finds calls that were given up meanwhile, and what they wanted may have been taken back: after
    the moment `until` nothing is done.
    """

    _work: Work

    def admit_replica(self, ctx: TroveContext, replica_id: str, until: str | None = None) -> dict[str, JSON]:
        """Make a role and a place in the log for a replica; return the source that it has to be told."""
        del ctx
        return source_to_json(self._unless_late(until, lambda: self._work.driver.admit_replica(replica_id)))

    def dismiss_replica(self, ctx: TroveContext, replica_id: str, until: str | None = None) -> None:
        """End the stream to a replica, and forget it."""
        del ctx
        self._unless_late(until, lambda: self._work.driver.dismiss_replica(replica_id))

    def replicate(
        self,
        ctx: TroveContext,
        source: Mapping[str, JSON],
        configuration: Mapping[str, JSON] | None = None,
    ) -> None:
        """Make the server as a replica of a source, with these parameters; reported."""

        def change() -> None:
            with self._work.preparing():
                driver = self._work.driver
                driver.replicate(source_from(source), is_given_up=self._work.stopping.is_set)
                if configuration and driver.apply_configuration(parameters_from(configuration)):
                    driver.restart()

        self._work.in_background(ctx, change)

    def follow(self, ctx: TroveContext, source: Mapping[str, JSON], until: str | None = None) -> None:
        """Stream from a source from now on."""
        del ctx
        wanted = source_from(source)
        self._unless_late(until, lambda: self._work.driver.follow(wanted))

    def demote(self, ctx: TroveContext, until: str | None = None) -> dict[str, JSON]:
        """Stop the server when its replicas have everything; return `{"lsn"}`, the end of its log."""
        del ctx
        # Who asks relies on its being down: a server that is being brought back would come up behind his back.
        return {"lsn": self._unless_late(until, self._work.driver.demote, patience_s=_START_S)}

    def promote(self, ctx: TroveContext, lsn: int | None = None, until: str | None = None) -> None:
        """Make the replica a source, once it has everything up to `lsn`."""
        del ctx
        if lsn is not None and (not isinstance(lsn, int) or isinstance(lsn, bool) or lsn < 0):
            raise BadRequest(reason="lsn is no place in a log.")
        self._unless_late(until, lambda: self._work.driver.promote(lsn))

    def detach(self, ctx: TroveContext, until: str | None = None) -> None:
        """Make the replica a source with an administrator's password of its own."""
        del ctx
        self._unless_late(until, self._work.driver.detach)

    def replication(self, ctx: TroveContext) -> dict[str, JSON]:
        """Return `{"role", "lsn", "is_streaming", "admitted"}`."""
        del ctx
        found = self._work.driver.replication()
        return {
            "role": found.role.value,
            "lsn": found.lsn,
            "is_streaming": found.is_streaming,
            "admitted": list(found.admitted),
        }

    def _unless_late(
        self, until: str | None, change: Callable[[], Result], *, patience_s: float = PATIENCE_S
    ) -> Result:
        limit = None if until is None else moment_from(until)

        def in_time() -> Result:
            if limit is not None and datetime.now(UTC) > limit:
                raise GuestFailed(reason="The order about the replication came too late.")
            return change()

        return self._work.at_once(in_time, patience_s=patience_s)
