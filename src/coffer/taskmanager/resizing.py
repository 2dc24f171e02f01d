"""Tasks that change the size of an instance: another flavor, a larger volume.

The cloud makes room, the guest takes it, and one transaction says so in the row, the run and the bill. What fails
in between is taken back: instance, machine and bill keep the size that they had. Both may be done twice, so a run
whose taskmanager died is done again by another one.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from coffer.catalogue.errors import CloudFailed, CofferError, GuestFailed, NotBuilt, NotFound
from coffer.catalogue.states import USABLE, InstanceState
from coffer.clouds.cloud import Cloud, Flavor
from coffer.datastores.parameters import as_texts
from coffer.lifecycle.runs import Ending, Lifecycle
from coffer.store import configurations, instances
from coffer.store.errors import StoreError
from coffer.store.instances import Instance
from coffer.store.runs import open_of_instance
from coffer.taskmanager.tasks import Outcome, runs
from coffer.wire.context import TroveContext
from coffer.wire.guest_client import GuestClient

LOG = logging.getLogger(__name__)

_Step = Callable[[Instance], None]


class Resizing:
    """Changes the size of instances."""

    lifecycle: Lifecycle
    _cloud: Cloud
    _guest: Callable[[str], GuestClient]

    @runs
    def resize_instance(self, ctx: TroveContext, *, instance_id: str, flavor_id: str) -> Outcome:
        """Give an instance another flavor; its server restarts."""
        assert ctx.notification is not None
        flavor = self._offered(flavor_id)
        with self._taken_back(ctx, instance_id, lambda present: self._take_flavor_back(ctx, present)):
            self._cloud.resize(instance_id, flavor)
            with _understood():
                self._guest(instance_id).resize(ctx, flavor.ram_mib, asked_at=self._now())
            state = self._state_after_restart(ctx, instance_id)
            self.lifecycle.end(
                ctx.notification.run_id, lambda ending: self._state_flavor(ending, flavor, state)
            )
        return Outcome.ENDED

    @runs
    def resize_volume(self, ctx: TroveContext, *, instance_id: str, volume_gib: int) -> Outcome:
        """Enlarge the volume of an instance; its server goes on serving."""
        assert ctx.notification is not None
        with self._taken_back(ctx, instance_id, lambda present: self._take_volume_back(ctx, present)):
            self._cloud.resize_volume(instance_id, volume_gib)
            with _understood():
                self._guest(instance_id).resize_volume(ctx, volume_gib, asked_at=self._now())
            self.lifecycle.end(ctx.notification.run_id, lambda ending: self._state_volume(ending, volume_gib))
        return Outcome.ENDED

    def _state_after_restart(self, ctx: TroveContext, instance_id: str) -> InstanceState | None:
        """Bring what the instance's group says into force, and return the state that follows; None: as it was before.

        The server has just restarted, and so what waited for that is in force; unless it was never told of it.
        """
        with self.lifecycle.database.reading() as tx:
            wanted = as_texts(configurations.wanted(tx, instance_id))
        try:
            waits = self._guest(instance_id).apply_configuration(ctx.with_ticket(None), wanted)
        except CofferError as error:
            # The size is what was asked for: it does not depend on a group that does not fit it, say.
            LOG.warning("configuration not applied instance_id=%s reason=%s", instance_id, error)
            return None
        return (
            InstanceState.RESTART_REQUIRED if waits.get("restart_required") is True else InstanceState.ACTIVE
        )

    def _state_flavor(self, ending: Ending, flavor: Flavor, state: InstanceState | None) -> None:
        """Keep the new flavor and bill it from now on."""
        before = _subject(ending)
        if state is not None:
            instances.move(ending.tx, before.id, USABLE, state, ending.now)
        instances.update(
            ending.tx,
            before.id,
            ending.now,
            flavor_id=flavor.id,
            flavor_name=flavor.name,
            ram_mib=flavor.ram_mib,
        )
        self.lifecycle.state_fact(
            ending,
            "trove.instance.modify_flavor",
            _subject(ending),
            old_instance_size=before.ram_mib,
            modify_at=ending.now,
        )

    def _state_volume(self, ending: Ending, volume_gib: int) -> None:
        """Keep the new size and bill it from now on."""
        before = _subject(ending)
        instances.update(ending.tx, before.id, ending.now, volume_gib=volume_gib)
        self.lifecycle.state_fact(
            ending,
            "trove.instance.modify_volume",
            _subject(ending),
            old_volume_size=before.volume_gib or 0,
            modify_at=ending.now,
        )

    @contextmanager
    def _taken_back(self, ctx: TroveContext, instance_id: str, take_back: _Step) -> Iterator[None]:
        """Give cloud and guest back the size that the database has, if the block fails."""
        try:
            yield
        except Exception:
            self._try(ctx, instance_id, take_back)
            raise

    def _take_flavor_back(self, ctx: TroveContext, present: Instance) -> None:
        flavor = Flavor(
            id=present.flavor_id, name=present.flavor_name, ram_mib=present.ram_mib, vcpus=0, disk_gib=0
        )
        self._cloud.resize(present.id, flavor)
        # A cast, so that a guest that is away now does it before anything else when it is back.
        self._guest(present.id).resize(
            ctx.with_ticket(None), present.ram_mib, asked_at=self._now(), is_awaited=False
        )

    def _take_volume_back(self, ctx: TroveContext, present: Instance) -> None:
        if present.volume_gib is None:
            return
        self._cloud.resize_volume(present.id, present.volume_gib)
        self._guest(present.id).resize_volume(
            ctx.with_ticket(None), present.volume_gib, asked_at=self._now(), is_awaited=False
        )

    def _try(self, ctx: TroveContext, instance_id: str, take_back: _Step) -> None:
        """Take back what can be taken back; the failure that led here is the one to be told."""
        try:
            present = self._row(instance_id)
            if present.deleted_at is None and not self._is_superseded(ctx, instance_id):
                take_back(present)
                LOG.info("size taken back instance_id=%s", instance_id)
        except (CofferError, StoreError) as error:
            LOG.error("size not taken back instance_id=%s reason=%s", instance_id, error)  # noqa: TRY400

    def _is_superseded(self, ctx: TroveContext, instance_id: str) -> bool:
        """Say whether our run was ended meanwhile (its deadline, a reset) and another task does the same by now.

        Then that size is the one which counts, and its own task sees to it. One that changes something else does not.
        """
        ticket = ctx.notification
        assert ticket is not None
        with self.lifecycle.database.reading() as tx:
            found = open_of_instance(tx, instance_id)
        return any(
            run.operation == ticket.operation and run.run_id != ticket.run_id and run.claimed_by is not None
            for run in found
        )

    def _offered(self, flavor_id: str) -> Flavor:
        for flavor in self._cloud.flavors():
            if flavor.id == flavor_id:
                return flavor
        raise CloudFailed(reason=f"Flavor {flavor_id} is no longer offered.")

    def _row(self, instance_id: str) -> Instance:
        with self.lifecycle.database.reading() as tx:
            found = instances.get(tx, instance_id)
        if found is None:
            raise NotFound(resource="Instance", id=instance_id)
        return found

    def _now(self) -> str:
        return self.lifecycle.clock().isoformat()


@contextmanager
def _understood() -> Iterator[None]:
    """Turn the words of an agent that does not know the order into those of a failure: it is no tenant's doing."""
    try:
        yield
    except NotBuilt as error:
        raise GuestFailed(reason="The guest agent is too old to change the instance's size.") from error


def _subject(ending: Ending) -> Instance:
    """Return the instance of the run as its ending transaction sees it."""
    assert ending.run.instance_id is not None
    found = instances.get(ending.tx, ending.run.instance_id)
    assert found is not None, "a run and its instance are written in one transaction"
    return found
