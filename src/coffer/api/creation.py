"""The creation of an instance: what is asked for, checked, becomes a row, a run and a task."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from coffer.api import replicas
from coffer.api.bodies import CreateInstance, NewInstance
from coffer.api.call import Answer, Call
from coffer.api.databases import database_to_json
from coffer.api.instances import shown
from coffer.api.names import check_databases, check_users
from coffer.api.offers import version_on_offer
from coffer.api.quotas import allocate_instances
from coffer.api.restoring import datastore_wanted, require_restorable, restore_point
from coffer.api.settling import Cast, Settling
from coffer.api.users import user_to_json
from coffer.api.validation import label_problem, require
from coffer.api.wanted import configuration_id_of, flavor_of, refuse_unbuilt, require_group, size_of, zone_of
from coffer.catalogue.errors import BadRequest
from coffer.catalogue.operations import OPERATIONS
from coffer.clouds.cloud import Flavor
from coffer.datastores.datastore import Datastore, DatastoreVersion
from coffer.store import instances
from coffer.store.backups import Backup
from coffer.store.instances import Instance


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for, found on offer."""

    asked: NewInstance
    flavor: Flavor
    volume_gib: int
    datastore: Datastore
    version: DatastoreVersion
    availability_zone: str
    configuration_id: str | None = None
    backup: Backup | None = None
    """What the new instance starts from; None: from nothing."""


def create(call: Call) -> Answer:
    """Create an instance; the answer shows it as it is being built."""
    asked = call.read(CreateInstance).instance
    if asked.replica_of or asked.slave_of:
        return replicas.create(call, asked)
    plan = _plan(call, asked)
    lifecycle = call.services.lifecycle
    instance_id = str(uuid.uuid4())
    operation = OPERATIONS["instance_create"]
    items = [_traits(plan, instance_id)]
    with lifecycle.begin(call.ctx, operation, instance_id=instance_id, items=items) as begun:
        require_group(begun.tx, plan.configuration_id)
        allocate_instances(call, begun, ram_mib=plan.flavor.ram_mib, volume_gib=plan.volume_gib)
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
    refuse_unbuilt(asked)
    if asked.replica_count is not None and asked.replica_count != 1:
        raise BadRequest(reason="instance.replica_count: only replicas can be more than one.")
    backup = restore_point(call, asked)
    wanted = datastore_wanted(asked, backup)
    datastore, version = version_on_offer(call, wanted, where="instance.datastore")
    check_databases(asked.databases, datastore.rules, "instance.databases")
    check_users(asked.users, datastore.rules, "instance.users")
    _check_grants(asked)
    return Plan(
        asked=asked,
        flavor=flavor_of(call, asked.flavor_ref),
        volume_gib=_volume_gib(asked),
        datastore=datastore,
        version=version,
        availability_zone=zone_of(call, asked),
        configuration_id=configuration_id_of(call, asked, datastore.name, version.name),
        backup=backup,
    )


def _volume_gib(asked: NewInstance) -> int:
    if asked.volume is None:
        raise BadRequest(reason="instance.volume: an instance needs a volume with a size in GiB.")
    return size_of(asked.volume)


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
        availability_zone=plan.availability_zone,
        configuration_id=plan.configuration_id,
        region=call.services.settings.region,
        created_at=now,
        updated_at=now,
    )
