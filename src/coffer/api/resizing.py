"""Another size for an instance: another flavor, a larger volume. The taskmanager does it."""

from coffer.api.bodies import NewFlavor, ResizeFlavor, ResizeVolume, Volume
from coffer.api.call import ACCEPTED, Answer, Call
from coffer.api.quotas import allocate, check_volume_size
from coffer.api.settling import begin
from coffer.catalogue.errors import BadRequest, NotBuilt
from coffer.catalogue.resources import Resource
from coffer.clouds.cloud import Flavor
from coffer.lifecycle.runs import Beginning
from coffer.store import instances
from coffer.store.instances import Instance

_LONGEST_ID = 255
_MOST_GIB = 2**31 - 1


def flavor(call: Call) -> Answer:
    """Give an instance another flavor; its server restarts with the memory of it."""
    wanted_id = _flavor_id(call.read(ResizeFlavor).resize)
    instance = call.instance()

    def change(begun: Beginning) -> None:
        wanted, present = _flavor(call, wanted_id), _present(begun, instance)
        if wanted.id == present.flavor_id:
            raise BadRequest(reason=f"The instance has the flavor {wanted.id} already.")
        growth_mib = wanted.ram_mib - present.ram_mib
        allocate(call, begun, {Resource.RAM: growth_mib})
        instances.update(begun.tx, present.id, begun.run.started_at, wanted_ram_mib=wanted.ram_mib)

    items = [{"new_flavor_id": wanted_id}]
    taskmanager = call.services.taskmanager
    with begin(call, "instance_resize_instance", instance, items, change=change) as settling:
        settling.hand_on(
            settling.context, lambda ctx: taskmanager.resize_instance(ctx, instance.id, wanted_id)
        )
    return ACCEPTED


def volume(call: Call) -> Answer:
    """Enlarge the volume of an instance; its server goes on serving."""
    wanted_gib = _volume_gib(call.read(ResizeVolume).resize.volume)
    instance = call.instance()

    def change(begun: Beginning) -> None:
        present = _present(begun, instance)
        present_gib = present.volume_gib or 0
        if wanted_gib <= present_gib:
            raise BadRequest(reason=f"The new size must be more than the present {present_gib} GiB.")
        check_volume_size(call, wanted_gib)
        allocate(call, begun, {Resource.VOLUMES: wanted_gib - present_gib})
        instances.update(begun.tx, present.id, begun.run.started_at, wanted_volume_gib=wanted_gib)

    items = [{"new_size": wanted_gib}]
    taskmanager = call.services.taskmanager
    with begin(call, "instance_resize_volume", instance, items, change=change) as settling:
        settling.hand_on(
            settling.context, lambda ctx: taskmanager.resize_volume(ctx, instance.id, wanted_gib)
        )
    return ACCEPTED


def _flavor_id(asked: NewFlavor) -> str:
    """Return the id that a reference to a flavor means: itself, or the end of a link."""
    wanted_id = str(asked.flavor_ref).rstrip("/").rpartition("/")[2]
    if not wanted_id or len(wanted_id) > _LONGEST_ID or not wanted_id.isprintable():
        raise BadRequest(reason="resize.flavorRef: is not the id of a flavor.")
    return wanted_id


def _flavor(call: Call, wanted_id: str) -> Flavor:
    for offered in call.services.cloud.flavors():
        if offered.id == wanted_id:
            return offered
    raise BadRequest(reason=f"There is no flavor {wanted_id}.")


def _volume_gib(asked: Volume) -> int:
    if asked.type is not None:
        raise NotBuilt(what="Choosing the type of a volume")
    if not 1 <= asked.size <= _MOST_GIB:
        raise BadRequest(reason="resize.volume.size: must be a number of GiB, at least 1.")
    return asked.size


def _present(begun: Beginning, instance: Instance) -> Instance:
    """Return the instance as it is now that it is ours alone; what the call has read before may be old."""
    present = instances.get(begun.tx, instance.id)
    assert present is not None, "an instance that was just moved is there"
    return present
