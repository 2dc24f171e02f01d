"""Everybody's instances, for administrators of the cloud; the path's project is the administrator's own."""

import logging
from collections.abc import Sequence
from functools import partial

from coffer.api.bodies import Reboot, ResetTaskStatus, Stop
from coffer.api.call import ACCEPTED, Answer, Call, is_uuid
from coffer.api.guests import asking
from coffer.api.instances import version_number
from coffer.api.paging import cut
from coffer.api.resetting import reset
from coffer.api.settling import begin
from coffer.api.states import require_usable
from coffer.api.views.management import managed
from coffer.catalogue.errors import BadRequest, NotFound
from coffer.store import instances
from coffer.store.instances import Instance
from coffer.store.replication import replica_ids
from coffer.wire.json import JSON

LOG = logging.getLogger(__name__)

_TRUE_WORDS = frozenset({"true", "1", "yes"})
_FALSE_WORDS = frozenset({"false", "0", "no"})


def index(call: Call) -> Answer:
    """List the instances of all projects or of one, a page at a time."""
    request = call.page()
    is_deleted = _yes_or_no(call, "deleted")
    include_clustered = _yes_or_no(call, "include_clustered") or False
    with call.services.database.reading() as tx:
        found = instances.page_of_all(
            tx,
            request.limit + 1,
            request.marker,
            project_id=call.query.get("project_id") or None,
            is_deleted=is_deleted,
            include_clustered=include_clustered,
        )
        replicas = replica_ids(tx, found)
    page = cut(found, limit=request.limit, marker_of=lambda instance: instance.id)
    items: list[JSON] = [_shown(call, each, replicas[each.id]) for each in page.items]
    return Answer(200, call.paged({"instances": items}, request, page.next_marker))


def show(call: Call) -> Answer:
    """Show one instance of whatever project, also a deleted one."""
    instance = _anybodys(call)
    with call.services.database.reading() as tx:
        replicas = replica_ids(tx, [instance])[instance.id]
    return Answer(200, {"instance": _shown(call, instance, replicas)})


def stop(call: Call) -> Answer:
    """Stop the database server of an instance; a restart brings it back."""
    call.read(Stop)
    instance = _live(call)
    require_usable(instance, "stopping the server")
    guest = call.services.guest(instance.id)
    with asking(instance.id):
        guest.status(call.ctx)  # a server may take minutes to stop; that nobody listens is known sooner
        guest.stop(call.ctx)
    LOG.info(
        "server stopped by an administrator instance_id=%s request_id=%s", instance.id, call.ctx.request_id
    )
    return ACCEPTED


def reboot(call: Call) -> Answer:
    """Restart the server of an instance; on the local cloud that is the database server."""
    call.read(Reboot)
    instance = _live(call)
    # The run is one of the project that owns the instance: it is told, and billed, what happens to it.
    owners = call._replace(ctx=call.ctx.for_project(instance.project_id))
    with begin(owners, "instance_restart", instance) as settling:
        task = partial(call.services.taskmanager.restart_instance, instance_id=instance.id)
        settling.hand_on(settling.context, task)
    return ACCEPTED


def reset_task_status(call: Call) -> Answer:
    """Give up what is under way on an instance, and let it be deleted or used again."""
    call.read(ResetTaskStatus)
    return reset(call, _live(call))


def _anybodys(call: Call) -> Instance:
    wanted = call.params["instance_id"]
    found = None
    if is_uuid(wanted):
        with call.services.database.reading() as tx:
            found = instances.get(tx, wanted)
    if found is None:
        raise NotFound(resource="Instance", id=wanted)
    return found


def _live(call: Call) -> Instance:
    found = _anybodys(call)
    if found.deleted_at is not None:
        raise NotFound(resource="Instance", id=found.id)
    return found


def _shown(call: Call, instance: Instance, replicas: Sequence[str]) -> dict[str, JSON]:
    return managed(instance, version_number(call, instance), call.viewer(), replicas=replicas)


def _yes_or_no(call: Call, name: str) -> bool | None:
    """Return what the query says; None if it does not say it."""
    word = call.query.get(name, "").lower()
    if word not in _TRUE_WORDS | _FALSE_WORDS | {""}:
        raise BadRequest(reason=f"{name}: must be true or false.")
    return word in _TRUE_WORDS if word else None
