"""Has sources forget replicas: those whose creation failed, whoever found out that it had, and all that are gone."""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from coffer.catalogue.errors import CofferError
from coffer.catalogue.states import USABLE
from coffer.lifecycle.runs import Lifecycle
from coffer.store import instances, replication
from coffer.store.instances import Instance
from coffer.taskmanager.rounds import INTERVAL_S, Rounds
from coffer.wire.context import TroveContext
from coffer.wire.guest_client import GuestClient
from coffer.wire.json import JSON

LOG = logging.getLogger(__name__)

STRANGERS_INTERVAL_S = 600.0
_HEARD_WITHIN = timedelta(seconds=90)
"""Nobody waits for a guest that has been silent for longer."""


class Leftovers(Rounds):
    """A `Chore`: what a source keeps for a replica that will never come is dropped, and the two are unrelated again.

    Any number of taskmanagers may do it.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        guest: Callable[[str], GuestClient],
        *,
        interval_s: float = INTERVAL_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look every `interval_s`; ask the guests of the sources."""
        super().__init__(interval_s=interval_s, monotonic_s=monotonic_s)
        self._lifecycle = lifecycle
        self._guest = guest

    def find(self) -> Sequence[Instance]:
        """Return the replicas that will never come."""
        with self._lifecycle.database.reading() as tx:
            return replication.abandoned(tx)

    def see_to(self, instance: Instance) -> None:
        """Have the source forget one of them."""
        assert instance.replica_of is not None
        try:
            ctx = TroveContext(project_id=instance.project_id, overwrite=False)
            self._guest(instance.replica_of).dismiss_replica(ctx, instance.id)
        except CofferError as error:
            LOG.warning(
                "replica not dismissed source=%s instance_id=%s reason=%s",
                instance.replica_of,
                instance.id,
                error,
            )
            return
        self._lifecycle.note(lambda tx, now: replication.set_source(tx, instance.id, None, now))
        LOG.info("failed replica dismissed source=%s instance_id=%s", instance.replica_of, instance.id)


class Strangers(Rounds):
    """A `Chore`: what a source keeps for instances that are not its replicas any more is dropped.

    They were detached, deleted or given to another source while nobody could tell it. Only what the servers
    themselves say is compared with the rows, so nothing has to be remembered. Any number of taskmanagers may do it.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        guest: Callable[[str], GuestClient],
        *,
        interval_s: float = STRANGERS_INTERVAL_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask the guests of all that could be sources, every `interval_s`."""
        super().__init__(interval_s=interval_s, monotonic_s=monotonic_s)
        self._lifecycle = lifecycle
        self._guest = guest

    def find(self) -> Sequence[Instance]:
        """Return the instances that could be sources."""
        with self._lifecycle.database.reading() as tx:
            return replication.standing(tx, self._lifecycle.clock() - _HEARD_WITHIN)

    def see_to(self, instance: Instance) -> None:
        """Have one of them forget who does not follow it."""
        ctx, guest = TroveContext(project_id=instance.project_id, overwrite=False), self._guest(instance.id)
        try:
            kept = guest.replication(ctx).get("admitted")
            # Read when the guest has answered: whoever is admitted has had a row that says so before.
            for replica_id in self._strangers(instance.id, kept if isinstance(kept, list) else []):
                guest.dismiss_replica(ctx, replica_id)
                LOG.info("former replica dismissed source=%s instance_id=%s", instance.id, replica_id)
        except CofferError as error:
            LOG.warning("former replicas not dismissed source=%s reason=%s", instance.id, error)

    def _strangers(self, source_id: str, kept: Sequence[JSON]) -> list[str]:
        """Return those of `kept` who follow somebody else or nobody; none if the source is busy or no source now."""
        if not kept:
            return []
        with self._lifecycle.database.reading() as tx:
            source = instances.get(tx, source_id)
            if source is None or source.replica_of is not None or source.state not in USABLE:
                return []
            replicas = replication.replica_ids(tx, [source])[source_id]
        return [each for each in kept if isinstance(each, str) and each not in replicas]
