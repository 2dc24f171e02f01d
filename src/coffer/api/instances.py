"""Instances: what tenants pay for."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from coffer.api import configuring, replication
from coffer.api.bodies import InstanceChanges, Restart, UpdateInstance
from coffer.api.call import ACCEPTED, Answer, Call
from coffer.api.paging import cut
from coffer.api.settling import begin
from coffer.api.validation import label_problem, require
from coffer.api.views.instances import detail, summary
from coffer.catalogue.errors import BadRequest, HasReplicas, NotBuilt
from coffer.store import configurations, instances
from coffer.store.database import Tx
from coffer.store.instances import Instance
from coffer.store.replication import replica_ids
from coffer.wire.json import JSON

UNBUILT_CHANGES = {
    "datastore_version": "Upgrading an instance",
    "access": "Changing who may reach an instance",
}

_SOURCE = ("replica_of", "slave_of")
"""Whose replica an instance is; the second is the older word."""


def index(call: Call) -> Answer:
    """List the project's instances, the newest first, a page at a time."""
    return _list(call, is_detailed=False)


def index_detailed(call: Call) -> Answer:
    """List the project's instances with everything that is shown of one alone."""
    return _list(call, is_detailed=True)


def show(call: Call) -> Answer:
    """Show one instance; works in every state until it is deleted."""
    return Answer(200, {"instance": shown(call, call.instance())})


def update(call: Call) -> Answer:
    """Rename an instance, attach it to a configuration group, detach it from that or from its source."""
    changes = call.read(UpdateInstance).instance
    asked = _asked(changes)
    instance = call.instance()

    def rename(tx: Tx, now: datetime) -> None:
        if not isinstance(changes.name, msgspec.UnsetType):
            instances.update(tx, instance.id, now, name=changes.name)

    if asked in UNBUILT_CHANGES:
        raise NotBuilt(what=UNBUILT_CHANGES[asked])
    if asked in _SOURCE:
        return replication.detach(call, instance, rename)
    if isinstance(changes.configuration, str):
        return configuring.attach(call, instance, changes.configuration, rename)
    if asked or isinstance(changes.name, msgspec.UnsetType):
        # To Trove an empty change means: detach the configuration group.
        return configuring.detach(call, instance, rename)
    with call.services.database.writing() as tx:
        rename(tx, call.services.lifecycle.clock())
    return ACCEPTED


def _asked(changes: InstanceChanges) -> str:
    """Return what is to change beside the name; empty if nothing is.

    Raises:
        BadRequest: naming the field.
    """
    apart = (*UNBUILT_CHANGES, *_SOURCE, "configuration")
    asked = [field for field in apart if getattr(changes, field) is not msgspec.UNSET]
    if len(asked) > 1:
        raise BadRequest(reason=f"instance: only one of {', '.join(asked)} can change in one call.")
    if not isinstance(changes.name, msgspec.UnsetType):
        require(label_problem(changes.name), "instance.name")
    (field,) = asked or [""]
    if field in _SOURCE and getattr(changes, field) is not None:
        raise BadRequest(reason=f"instance.{field}: can only become null; a replica is made as one.")
    return field


def default_configuration(call: Call) -> Answer:
    """Show the settings that an instance has without a configuration group."""
    instance = call.instance()
    datastore = call.services.datastores.get(instance.datastore)
    if datastore is None:
        raise NotBuilt(what=f"The datastore {instance.datastore}")
    defaults = datastore.defaults(
        version=instance.datastore_version, ram_mib=instance.ram_mib, volume_gib=instance.volume_gib
    )
    return Answer(200, {"instance": {"configuration": dict(defaults)}})


def restart(call: Call) -> Answer:
    """Restart the database server; the taskmanager does it."""
    call.read(Restart)
    return _hand_to_taskmanager(call, "instance_restart")


def delete(call: Call) -> Answer:
    """Delete an instance with its data; the taskmanager does it."""
    return _hand_to_taskmanager(call, "instance_delete", check=_require_no_replicas)


def shown(call: Call, instance: Instance) -> dict[str, JSON]:
    """Return the body of one instance."""
    with call.services.database.reading() as tx:
        names = configurations.names(tx, [instance.configuration_id] if instance.configuration_id else [])
        replicas = replica_ids(tx, [instance])[instance.id]
    group_name = names.get(instance.configuration_id or "")
    number = version_number(call, instance)
    return detail(instance, number, call.viewer(), group_name=group_name, replicas=replicas)


def _require_no_replicas(tx: Tx, instance: Instance) -> None:
    """Refuse to take the source of replicas away; whoever makes one at the same time locks its source.

    Raises:
        HasReplicas: naming the source.
    """
    if replica_ids(tx, [instance])[instance.id]:
        raise HasReplicas(id=instance.id)


def _hand_to_taskmanager(
    call: Call, operation: str, *, check: Callable[[Tx, Instance], None] = lambda _tx, _instance: None
) -> Answer:
    instance = call.instance()
    taskmanager = call.services.taskmanager
    tasks = {
        "instance_restart": taskmanager.restart_instance,
        "instance_delete": taskmanager.delete_instance,
    }
    with begin(call, operation, instance, change=lambda begun: check(begun.tx, instance)) as settling:
        settling.hand_on(settling.context, lambda ctx: tasks[operation](ctx, instance.id))
    return ACCEPTED


def _list(call: Call, *, is_detailed: bool) -> Answer:
    request = call.page()
    include_clustered = call.query.get("include_clustered", "false").lower() in {"true", "1", "yes"}
    with call.services.database.reading() as tx:
        found = instances.page(
            tx,
            call.project_id,
            request.limit + 1,
            request.marker,
            include_clustered=include_clustered,
        )
        groups = {each.configuration_id for each in found if each.configuration_id}
        names = configurations.names(tx, groups) if is_detailed else {}
        replicas = replica_ids(tx, found)
    page = cut(found, limit=request.limit, marker_of=lambda instance: instance.id)
    viewer = call.viewer()

    def view(each: Instance) -> JSON:
        number = version_number(call, each)
        if not is_detailed:
            return summary(each, number, viewer, replicas=replicas[each.id])
        group_name = names.get(each.configuration_id or "")
        return detail(each, number, viewer, group_name=group_name, replicas=replicas[each.id])

    items = [view(each) for each in page.items]
    return Answer(200, call.paged({"instances": items}, request, page.next_marker))


def version_number(call: Call, instance: Instance) -> str | None:
    """Return the number of the instance's version; None where this installation no longer has it."""
    datastore = call.services.datastores.get(instance.datastore)
    version = datastore.version(instance.datastore_version) if datastore else None
    return version.number if version else None
