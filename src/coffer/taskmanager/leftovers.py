"""Has sources forget the replicas whose creation failed, whoever found out that it had."""

import logging
import time
from collections.abc import Callable, Sequence

from coffer.catalogue.errors import CofferError
from coffer.lifecycle.runs import Lifecycle
from coffer.store import replication
from coffer.store.instances import Instance
from coffer.taskmanager.rounds import INTERVAL_S, Rounds
from coffer.wire.context import TroveContext
from coffer.wire.guest_client import GuestClient

LOG = logging.getLogger(__name__)


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
