"""Removes the servers of creations that failed: nobody will ever be billed for them, so nobody shall use them."""

import logging
import time
from collections.abc import Callable, Sequence

from coffer.catalogue.errors import CofferError
from coffer.catalogue.states import InstanceState
from coffer.clouds.cloud import Cloud
from coffer.lifecycle.runs import Lifecycle
from coffer.store import instances
from coffer.store.instances import Instance
from coffer.taskmanager.rounds import INTERVAL_S, Rounds

LOG = logging.getLogger(__name__)


class Unlaunched(Rounds):
    """A `Chore`: however a creation failed, at its deadline, by its guest's word, what was made is taken away.

    The server may have been up already, with the tenant's databases and users in it. The instance itself stays, in
    ERROR, until its tenant deletes it. Any number of taskmanagers may do it.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        cloud: Cloud,
        *,
        interval_s: float = INTERVAL_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look every `interval_s` for what `cloud` still has."""
        super().__init__(interval_s=interval_s, monotonic_s=monotonic_s)
        self._lifecycle = lifecycle
        self._cloud = cloud

    def find(self) -> Sequence[Instance]:
        """Return the instances that have a server, and failed before they were launched."""
        with self._lifecycle.database.reading() as tx:
            return instances.never_launched(tx)

    def see_to(self, instance: Instance) -> None:
        """Remove the server of one of them."""
        try:
            remove_unlaunched(self._lifecycle, self._cloud, instance)
        except CofferError as error:
            LOG.warning("server not removed instance_id=%s reason=%s", instance.id, error)


def remove_unlaunched(lifecycle: Lifecycle, cloud: Cloud, instance: Instance) -> None:
    """Remove the server of an instance that failed before it was launched; of any other one nothing.

    Raises:
        CloudFailed: it cannot be removed now.
    """
    if instance.launched_at is not None or instance.state is InstanceState.BUILD:
        return
    cloud.delete(instance.id)
    nowhere = {"host": None, "port": None, "server_id": None, "volume_id": None}
    with lifecycle.database.writing() as tx:
        instances.update(tx, instance.id, lifecycle.clock(), **nowhere)
    LOG.info("server of a failed creation removed instance_id=%s", instance.id)
