"""Instances: what tenants pay for."""

from datetime import datetime

import msgspec

from coffer.api import configuring
from coffer.api.bodies import Restart, UpdateInstance
from coffer.api.call import ACCEPTED, Answer, Call
from coffer.api.paging import cut
from coffer.api.settling import begin
from coffer.api.validation import label_problem, require
from coffer.api.views.instances import detail, summary
from coffer.catalogue.errors import BadRequest, NotBuilt
from coffer.store import configurations, instances
from coffer.store.database import Tx
from coffer.store.instances import Instance
from coffer.wire.json import JSON

UNBUILT_CHANGES = {
    "replica_of": "The operation instance_detach",
    "slave_of": "The operation instance_detach",
    "datastore_version": "Upgrading an instance",
    "access": "Changing who may reach an instance",
}


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
    """Rename an instance, attach it to a configuration group or detach it, by PUT or PATCH."""
    changes = call.read(UpdateInstance).instance
    apart = (*UNBUILT_CHANGES, "configuration")
    asked = [field for field in apart if getattr(changes, field) is not msgspec.UNSET]
    if len(asked) > 1:
        raise BadRequest(reason=f"instance: only one of {', '.join(asked)} can change in one call.")
    if not isinstance(changes.name, msgspec.UnsetType):
        require(label_problem(changes.name), "instance.name")
    instance = call.instance()

    def rename(tx: Tx, now: datetime) -> None:
        if not isinstance(changes.name, msgspec.UnsetType):
            instances.update(tx, instance.id, now, name=changes.name)

    if asked and asked[0] in UNBUILT_CHANGES:
        raise NotBuilt(what=UNBUILT_CHANGES[asked[0]])
    if isinstance(changes.configuration, str):
        return configuring.attach(call, instance, changes.configuration, rename)
    if asked or isinstance(changes.name, msgspec.UnsetType):
        # To Trove an empty change means: detach the configuration group.
        return configuring.detach(call, instance, rename)
    with call.services.database.writing() as tx:
        rename(tx, call.services.lifecycle.clock())
    return ACCEPTED


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
    return _hand_to_taskmanager(call, "instance_delete")


def shown(call: Call, instance: Instance) -> dict[str, JSON]:
    """Return the body of one instance."""
    with call.services.database.reading() as tx:
        names = configurations.names(tx, [instance.configuration_id] if instance.configuration_id else [])
    group_name = names.get(instance.configuration_id or "")
    return detail(instance, version_number(call, instance), call.viewer(), group_name=group_name)


def _hand_to_taskmanager(call: Call, operation: str) -> Answer:
    instance = call.instance()
    taskmanager = call.services.taskmanager
    tasks = {
        "instance_restart": taskmanager.restart_instance,
        "instance_delete": taskmanager.delete_instance,
    }
    with begin(call, operation, instance) as settling:
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
    page = cut(found, limit=request.limit, marker_of=lambda instance: instance.id)
    viewer = call.viewer()

    def view(each: Instance) -> JSON:
        number = version_number(call, each)
        if not is_detailed:
            return summary(each, number, viewer)
        return detail(each, number, viewer, group_name=names.get(each.configuration_id or ""))

    items = [view(each) for each in page.items]
    return Answer(200, call.paged({"instances": items}, request, page.next_marker))


def version_number(call: Call, instance: Instance) -> str | None:
    """Return the number of the instance's version; None where this installation no longer has it."""
    datastore = call.services.datastores.get(instance.datastore)
    version = datastore.version(instance.datastore_version) if datastore else None
    return version.number if version else None
