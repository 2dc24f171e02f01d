"""Has sources forget the replicas whose creation failed, whoever found out that it had."""

import logging
import time
from collections.abc import Callable

from coffer.catalogue.errors import CofferError
from coffer.lifecycle.runs import Lifecycle
from coffer.store import replication
from coffer.store.instances import Instance
from coffer.wire.context import TroveContext
from coffer.wire.guest_client import GuestClient

LOG = logging.getLogger(__name__)

INTERVAL_S = 30.0


class Leftovers:
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
        self._lifecycle = lifecycle
        self._guest = guest
        self._interval_s = interval_s
        self._monotonic_s = monotonic_s
        self._next_s = 0.0

    def step(self) -> bool:
        """Look once, if it is time to; what does not work now is tried again the next time."""
        if self._monotonic_s() < self._next_s:
            return False
        with self._lifecycle.database.reading() as tx:
            found = replication.abandoned(tx)
        for replica in found:
            self._part(replica)
        self._next_s = self._monotonic_s() + self._interval_s
        return False

    def _part(self, replica: Instance) -> None:
        assert replica.replica_of is not None
        try:
            ctx = TroveContext(project_id=replica.project_id, overwrite=False)
            self._guest(replica.replica_of).dismiss_replica(ctx, replica.id)
        except CofferError as error:
            LOG.warning(
                "replica not dismissed source=%s instance_id=%s reason=%s",
                replica.replica_of,
                replica.id,
                error,
            )
            return
        self._lifecycle.note(lambda tx, now: replication.set_source(tx, replica.id, None, now))
        LOG.info("failed replica dismissed source=%s instance_id=%s", replica.replica_of, replica.id)
