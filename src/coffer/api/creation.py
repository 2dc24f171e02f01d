"""The creation of an instance: what is asked for, checked, becomes a row, a run and a task."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from coffer.api.bodies import CreateInstance, NewInstance
from coffer.api.call import Answer, Call
from coffer.api.configurations import found
from coffer.api.configuring import require_fitting
from coffer.api.databases import database_to_json
from coffer.api.instances import shown
from coffer.api.names import check_databases, check_users
from coffer.api.offers import version_on_offer
from coffer.api.quotas import allocate_instances
from coffer.api.restoring import datastore_wanted, require_restorable, restore_point
from coffer.api.settling import Cast, Settling
from coffer.api.users import user_to_json
from coffer.api.validation import label_problem, require
from coffer.catalogue.errors import BadRequest, NotBuilt, NotFound
from coffer.catalogue.operations import OPERATIONS
from coffer.clouds.cloud import Flavor
from coffer.datastores.datastore import Datastore, DatastoreVersion
from coffer.store import configurations, instances
from coffer.store.backups import Backup
from coffer.store.instances import Instance

UNBUILT = {
    "replica_of": "Creating a replica",
    "slave_of": "Creating a replica",
    "nics": "Choosing networks for an instance",
    "modules": "Installing modules",
    "locality": "Choosing the locality of replicas",
}
"""What the body may hold, and coffer does not do yet."""

_MOST_GIB = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for, found on offer."""

    asked: NewInstance
    flavor: Flavor
    volume_gib: int
    datastore: Datastore
    version: DatastoreVersion
    configuration_id: str | None = None
    backup: Backup | None = None
    """What the new instance starts from; None: from nothing."""


def create(call: Call) -> Answer:
    """Create an instance; the answer shows it as it is being built."""
    plan = _plan(call, call.read(CreateInstance).instance)
    lifecycle = call.services.lifecycle
    instance_id = str(uuid.uuid4())
    operation = OPERATIONS["instance_create"]
    items = [_traits(plan, instance_id)]
    with lifecycle.begin(call.ctx, operation, instance_id=instance_id, items=items) as begun:
        allocate_instances(call, begun, ram_mib=plan.flavor.ram_mib, volume_gib=plan.volume_gib)
        if plan.configuration_id is not None and configurations.lock(begun.tx, plan.configuration_id) is None:
            raise NotFound(resource="Configuration", id=plan.configuration_id)
        if plan.backup is not None:
            require_restorable(
                begun.tx,
                plan.backup,
                datastore=plan.datastore.name,
                version=plan.version.name,
                volume_gib=plan.volume_gib,
            )
        instance = _row(call, plan, instance_id, begun.run.started_at)
        instances.insert(begun.tx, instance)
    with Settling(call, begun) as settling:
        settling.hand_on(begun.context, _task(call, plan, instance_id))
    return Answer(200, {"instance": shown(call, instance)})


def _task(call: Call, plan: Plan, instance_id: str) -> Cast:
    """Return what has the taskmanager make the instance."""
    databases = [database_to_json(database) for database in plan.asked.databases]
    users = [user_to_json(user) for user in plan.asked.users]
    taskmanager, backup = call.services.taskmanager, plan.backup
    if backup is None:
        return lambda ctx: taskmanager.create_instance(ctx, instance_id, databases, users)
    return lambda ctx: taskmanager.restore_instance(ctx, instance_id, backup.id, databases, users)


def _plan(call: Call, asked: NewInstance) -> Plan:
    """Check what is asked for and find it on offer.

    Raises:
        BadRequest: naming the field.
        NotBuilt: for what coffer does not do yet.
    """
    require(label_problem(asked.name), "instance.name")
    _refuse_unbuilt(asked)
    backup = restore_point(call, asked)
    wanted = datastore_wanted(asked, backup)
    datastore, version = version_on_offer(call, wanted, where="instance.datastore")
    check_databases(asked.databases, datastore.rules, "instance.databases")
    check_users(asked.users, datastore.rules, "instance.users")
    _check_grants(asked)
    if asked.availability_zone is not None:
        require(label_problem(asked.availability_zone), "instance.availability_zone")
    region = call.services.settings.region
    if asked.region_name is not None and asked.region_name != region:
        raise BadRequest(reason=f"instance.region_name: this is the region {region}, and it knows no other.")
    return Plan(
        asked=asked,
        flavor=_flavor(call, asked.flavor_ref),
        volume_gib=_volume_gib(asked),
        datastore=datastore,
        version=version,
        configuration_id=_configuration_id(call, asked, datastore, version),
        backup=backup,
    )


def _refuse_unbuilt(asked: NewInstance) -> None:
    for field, what in UNBUILT.items():
        if getattr(asked, field):
            raise NotBuilt(what=what)
    if asked.replica_count is not None and asked.replica_count != 1:
        raise BadRequest(reason="instance.replica_count: only replicas can be more than one.")
    if asked.volume is not None and asked.volume.type is not None:
        raise NotBuilt(what="Choosing the type of a volume")
    if asked.access is not None and (asked.access.is_public or asked.access.allowed_cidrs):
        raise NotBuilt(what="Making an instance public")


def _configuration_id(
    call: Call, asked: NewInstance, datastore: Datastore, version: DatastoreVersion
) -> str | None:
    """Find the configuration group that is asked for, or a link that ends in it."""
    if not asked.configuration:
        return None
    group = found(call, asked.configuration.rstrip("/").rpartition("/")[2])
    require_fitting(group, datastore.name, version.name)
    return group.id


def _flavor(call: Call, reference: str | int | None) -> Flavor:
    """Find a flavor by its id, or by a link that ends in it."""
    if reference is None or reference == "":
        raise BadRequest(reason="instance.flavorRef: an instance needs a flavor.")
    wanted = str(reference).rstrip("/").rpartition("/")[2]
    for flavor in call.services.cloud.flavors():
        if flavor.id == wanted:
            return flavor
    raise BadRequest(reason=f"instance.flavorRef: there is no flavor {wanted}.")


def _volume_gib(asked: NewInstance) -> int:
    if asked.volume is None:
        raise BadRequest(reason="instance.volume: an instance needs a volume with a size in GiB.")
    size_gib = asked.volume.size
    if size_gib < 1:
        raise BadRequest(reason="instance.volume.size: must be at least 1 (GiB).")
    if size_gib > _MOST_GIB:
        raise BadRequest(reason=f"instance.volume.size: must be at most {_MOST_GIB} (GiB).")
    return size_gib


def _check_grants(asked: NewInstance) -> None:
    """Refuse users with access to databases that the new instance will not have."""
    made = {database.name for database in asked.databases}
    for position, user in enumerate(asked.users):
        for database in user.databases:
            if database.name not in made:
                where = f"instance.users[{position}].databases"
                raise BadRequest(reason=f"{where}: {database.name} is not among the instance's databases.")


def _traits(plan: Plan, instance_id: str) -> dict[str, str | int | None]:
    """Return what `.start` says; a name of a user is in it, a password never."""
    asked = plan.asked
    return {
        "instance_id": instance_id,
        "name": asked.name,
        "flavor": plan.flavor.id,
        "datastore": plan.datastore.name,
        "datastore_version": plan.version.name,
        "databases": ",".join(database.name for database in asked.databases) or None,
        "users": ",".join(user.name for user in asked.users) or None,
        "volume_size": plan.volume_gib,
        "restore_point": plan.backup.id if plan.backup else None,
        "availability_zone": asked.availability_zone,
    }


def _row(call: Call, plan: Plan, instance_id: str, now: datetime) -> Instance:
    return Instance(
        id=instance_id,
        project_id=call.project_id,
        user_id=call.ctx.user_id,
        name=plan.asked.name,
        datastore=plan.datastore.name,
        datastore_version=plan.version.name,
        flavor_id=plan.flavor.id,
        flavor_name=plan.flavor.name,
        ram_mib=plan.flavor.ram_mib,
        volume_gib=plan.volume_gib,
        availability_zone=plan.asked.availability_zone,
        configuration_id=plan.configuration_id,
        region=call.services.settings.region,
        created_at=now,
        updated_at=now,
    )
