"""What a body asks of a new instance, found on offer; whether it is to be empty, a copy of a backup or a replica."""

from collections.abc import Mapping

from coffer.api.bodies import NewInstance, Volume
from coffer.api.call import Call
from coffer.api.configurations import found
from coffer.api.configuring import require_fitting
from coffer.catalogue.errors import BadRequest, NotBuilt, NotFound
from coffer.clouds.cloud import Flavor
from coffer.store import configurations
from coffer.store.database import Tx

UNBUILT: Mapping[str, str] = {
    "nics": "Choosing networks for an instance",
    "modules": "Installing modules",
    "locality": "Choosing the locality of replicas",
}
"""What the body may hold, and coffer does not do yet."""

_MOST_GIB = 2**31 - 1


def refuse_unbuilt(asked: NewInstance) -> None:
    """Refuse what coffer does not do yet.

    Raises:
        NotBuilt: naming it.
    """
    for field, what in UNBUILT.items():
        if getattr(asked, field):
            raise NotBuilt(what=what)
    if asked.volume is not None and asked.volume.type is not None:
        raise NotBuilt(what="Choosing the type of a volume")
    if asked.access is not None and (asked.access.is_public or asked.access.allowed_cidrs):
        raise NotBuilt(what="Making an instance public")


def zone_of(call: Call, asked: NewInstance) -> str:
    """Return the availability zone of a new instance: the one asked for, or the cloud's first.

    Raises:
        BadRequest: naming the field that asks for a place that is none.
    """
    region = call.services.settings.region
    if asked.region_name is not None and asked.region_name != region:
        raise BadRequest(reason=f"instance.region_name: this is the region {region}, and it knows no other.")
    zones = call.services.cloud.zones()
    if asked.availability_zone is not None and asked.availability_zone not in zones:
        offered = ", ".join(zones)
        raise BadRequest(
            reason=f"instance.availability_zone: there is no such zone here; there is {offered}."
        )
    return asked.availability_zone or zones[0]


def flavor_of(call: Call, reference: str | int | None) -> Flavor:
    """Find a flavor by its id, or by a link that ends in it.

    Raises:
        BadRequest: there is none.
    """
    if reference is None or reference == "":
        raise BadRequest(reason="instance.flavorRef: an instance needs a flavor.")
    wanted = end_of(str(reference))
    for flavor in call.services.cloud.flavors():
        if flavor.id == wanted:
            return flavor
    raise BadRequest(reason=f"instance.flavorRef: there is no flavor {wanted}.")


def size_of(volume: Volume) -> int:
    """Return how large a volume is asked for, in GiB.

    Raises:
        BadRequest: no volume has such a size.
    """
    if volume.size < 1:
        raise BadRequest(reason="instance.volume.size: must be at least 1 (GiB).")
    if volume.size > _MOST_GIB:
        raise BadRequest(reason=f"instance.volume.size: must be at most {_MOST_GIB} (GiB).")
    return volume.size


def configuration_id_of(call: Call, asked: NewInstance, datastore: str, version: str) -> str | None:
    """Find the configuration group that is asked for, by its id or a link that ends in it.

    Raises:
        NotFound, BadRequest: there is none, or it is for something else.
    """
    if not asked.configuration:
        return None
    group = found(call, end_of(asked.configuration))
    require_fitting(group, datastore, version)
    return group.id


def require_group(tx: Tx, configuration_id: str | None) -> None:
    """Let nobody change or delete the group of a new instance until its row is written; None: it has none.

    Call it before anything else of the transaction is locked: whoever changes a group goes on to its instances.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    if configuration_id is not None and configurations.lock(tx, configuration_id) is None:
        raise NotFound(resource="Configuration", id=configuration_id)


def end_of(reference: str) -> str:
    """Return the id that a reference means: itself, or the end of a link."""
    return reference.rstrip("/").rpartition("/")[2]
