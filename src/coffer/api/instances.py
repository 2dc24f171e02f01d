"""Instances: what tenants pay for."""

import msgspec

from coffer.api.bodies import Restart, UpdateInstance
from coffer.api.call import ACCEPTED, Answer, Call
from coffer.api.paging import cut
from coffer.api.settling import begin
from coffer.api.validation import label_problem, require
from coffer.api.views.instances import detail, summary
from coffer.catalogue.errors import BadRequest, NotBuilt
from coffer.store import instances
from coffer.store.instances import Instance
from coffer.wire.json import JSON

UNBUILT_CHANGES = {
    "replica_of": "The operation instance_detach",
    "slave_of": "The operation instance_detach",
    "configuration": "Attaching and detaching configuration groups",
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
    """Rename an instance, by PUT or PATCH; the other changes that a client can ask for are not built yet."""
    changes = call.read(UpdateInstance).instance
    asked = [field for field in UNBUILT_CHANGES if getattr(changes, field) is not msgspec.UNSET]
    if len(asked) > 1:
        raise BadRequest(reason=f"instance: only one of {', '.join(asked)} can change in one call.")
    if not isinstance(changes.name, msgspec.UnsetType):
        require(label_problem(changes.name), "instance.name")
    instance = call.instance()
    if asked:
        raise NotBuilt(what=UNBUILT_CHANGES[asked[0]])
    if isinstance(changes.name, msgspec.UnsetType):
        # To Trove an empty change means: detach the configuration group.
        raise NotBuilt(what=UNBUILT_CHANGES["configuration"])
    with call.services.database.writing() as tx:
        instances.update(tx, instance.id, call.services.lifecycle.clock(), name=changes.name)
    return ACCEPTED


def restart(call: Call) -> Answer:
    """Restart the database server; the taskmanager does it."""
    call.read(Restart)
    return _hand_to_taskmanager(call, "instance_restart")


def delete(call: Call) -> Answer:
    """Delete an instance with its data; the taskmanager does it."""
    return _hand_to_taskmanager(call, "instance_delete")


def shown(call: Call, instance: Instance) -> dict[str, JSON]:
    """Return the body of one instance."""
    return detail(instance, _version_number(call, instance), call.viewer())


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
    page = cut(found, limit=request.limit, marker_of=lambda instance: instance.id)
    view = detail if is_detailed else summary
    viewer = call.viewer()
    items: list[JSON] = [view(each, _version_number(call, each), viewer) for each in page.items]
    return Answer(200, call.paged({"instances": items}, request, page.next_marker))


def _version_number(call: Call, instance: Instance) -> str | None:
    datastore = call.services.datastores.get(instance.datastore)
    version = datastore.version(instance.datastore_version) if datastore else None
    return version.number if version else None
