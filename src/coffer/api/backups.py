"""Backups of instances: kept in the object store, on their own, until somebody deletes them."""

import json
import re
import uuid
from collections.abc import Collection, Sequence

from coffer.api.bodies import CreateBackup, NewBackup
from coffer.api.call import ACCEPTED, Answer, Call, is_uuid
from coffer.api.paging import PageRequest, cut, page_request
from coffer.api.policy import ADMIN
from coffer.api.quotas import allocate_backup
from coffer.api.rules import rules_of
from coffer.api.settling import Settling, begin
from coffer.api.validation import label_problem, require
from coffer.api.views.backups import backup_view
from coffer.catalogue.errors import (
    BackupBusy,
    BackupNotCompleted,
    BadRequest,
    NotBuilt,
    NotFound,
    ServerNotRunning,
)
from coffer.catalogue.operations import OPERATIONS
from coffer.catalogue.states import UNFINISHED, BackupState, ServiceStatus
from coffer.lifecycle.runs import Beginning
from coffer.store import backups, instances, quotas, runs
from coffer.store.backups import Backup, Filters
from coffer.store.database import Tx
from coffer.store.instances import Instance
from coffer.wire.json import JSON

UNBUILT = {
    "restore_from": "Making a backup of data that lie elsewhere",
    "storage_driver": "Choosing where a backup is kept",
    "swift_container": "Choosing where a backup is kept",
}
"""What the body may hold, and coffer does not do."""

_LONGEST_DESCRIPTION = 1024
_LARGEST_PAGE = 1000
"""Trove cuts no limit here; some bound there must be."""
_OFFSET = re.compile(r"[0-9]{1,9}")
_DOWN = frozenset({ServiceStatus.SHUTDOWN, ServiceStatus.CRASHED})


def index(call: Call) -> Answer:
    """List the project's backups, or as an administrator anybody's, a page at a time."""
    query = call.query
    project_id: str | None = query.get("project_id") or call.project_id
    if query.get("all_projects", "").lower() in {"true", "1", "yes"}:
        project_id = query.get("project_id") or None
    if project_id != call.project_id:
        call.services.policy.require(ADMIN, call.ctx)
    filters = Filters(
        project_id=project_id,
        instance_id=query.get("instance_id") or None,
        datastore=_datastore_name(call, query.get("datastore")),
    )
    return _listed(call, filters)


def of_instance(call: Call) -> Answer:
    """List the backups of an instance, a page at a time."""
    instance = call.instance()
    return _listed(call, Filters(project_id=call.project_id, instance_id=instance.id))


def show(call: Call) -> Answer:
    """Show one backup."""
    return Answer(200, {"backup": backup_view(_named(call), call.services.datastores)})


def create(call: Call) -> Answer:
    """Have a backup made while the instance goes on serving: a full one, or what changed since another one."""
    asked = _checked(call.read(CreateBackup).backup)
    instance = _instance(call, asked.instance)
    parent_id = _parent_id(call, asked, instance)
    backup_id = str(uuid.uuid4())
    made: list[Backup] = []

    def change(begun: Beginning) -> None:
        allocate_backup(call, begun)
        present = instances.get(begun.tx, instance.id) or instance
        if present.service_status in _DOWN:
            raise ServerNotRunning(id=present.id, status=present.service_status)
        if parent_id is not None:
            _require_parent(call, begun.tx, present, parent_id)
        made.append(_row(asked, present, begun, backup_id=backup_id, parent_id=parent_id))
        backups.insert(begun.tx, made[0])

    items = [
        {
            "backup_id": backup_id,
            "name": asked.name,
            "description": asked.description or None,
            "parent_id": parent_id,
        }
    ]
    taskmanager = call.services.taskmanager
    with begin(call, "backup_create", instance, items, change=change) as settling:
        settling.hand_on(settling.context, lambda ctx: taskmanager.create_backup(ctx, backup_id))
    return Answer(202, {"backup": backup_view(made[0], call.services.datastores)})


def delete(call: Call) -> Answer:
    """Delete a backup with all that build on it; the taskmanager does it."""
    backup = _named(call)
    lifecycle, taskmanager = call.services.lifecycle, call.services.taskmanager
    with lifecycle.begin(call.ctx, OPERATIONS["backup_delete"], items=[{"backup_id": backup.id}]) as begun:
        _doom(call, begun, backup.id)
    with Settling(call, begun) as settling:
        settling.hand_on(settling.context, lambda ctx: taskmanager.delete_backup(ctx, backup.id))
    return ACCEPTED


def found(call: Call, backup_id: str) -> Backup:
    """Return a backup of the project.

    Raises:
        NotFound: if there is none, if it is deleted, or if it is another project's.
    """
    backup = None
    if is_uuid(backup_id):
        with call.services.database.reading() as tx:
            backup = backups.find(tx, call.project_id, backup_id)
    if backup is None:
        raise NotFound(resource="Backup", id=backup_id)
    return backup


def _named(call: Call) -> Backup:
    return found(call, call.params["backup_id"])


def _checked(asked: NewBackup) -> NewBackup:
    require(label_problem(asked.name), "backup.name")
    if asked.description:
        require(label_problem(asked.description, limit=_LONGEST_DESCRIPTION), "backup.description")
    for field, what in UNBUILT.items():
        if getattr(asked, field):
            raise NotBuilt(what=what)
    return asked


def _instance(call: Call, instance_id: str | None) -> Instance:
    if not instance_id:
        raise BadRequest(reason="backup.instance: names the instance to back up.")
    present = None
    if is_uuid(instance_id):
        with call.services.database.reading() as tx:
            present = instances.find(tx, call.project_id, instance_id)
    if present is None:
        raise NotFound(resource="Instance", id=instance_id)
    return present


def _parent_id(call: Call, asked: NewBackup, instance: Instance) -> str | None:
    """Return what the backup is to build on: what was named, or where that is to be chosen, the newest one.

    Raises:
        BadRequest: the instance's datastore does not do that.
        NotFound: nothing can be called so.
    """
    if not asked.parent_id and not asked.incremental:
        return None
    problem = rules_of(call, instance).incremental_backup(instance.datastore_version)
    if problem is not None:
        raise BadRequest(reason=f"backup.incremental: incremental backups {problem}.")
    if asked.parent_id:
        if not is_uuid(asked.parent_id):
            raise NotFound(resource="Backup", id=asked.parent_id)
        return asked.parent_id
    with call.services.database.reading() as tx:
        newest = backups.newest_completed(tx, instance.id, instance.datastore_version)
    return newest.id if newest else None


def _require_parent(call: Call, tx: Tx, instance: Instance, parent_id: str) -> None:
    """Refuse to build on what cannot be built on; what the call has read before may be old."""
    parent = backups.find(tx, call.project_id, parent_id)
    if parent is None:
        raise NotFound(resource="Backup", id=parent_id)
    if parent.instance_id != instance.id:
        raise BadRequest(reason=f"Backup {parent_id} is one of another instance.")
    if parent.datastore_version != instance.datastore_version:
        raise BadRequest(reason=f"Backup {parent_id} is one of version {parent.datastore_version}.")
    if parent.state is not BackupState.COMPLETED:
        raise BackupNotCompleted(id=parent_id, state=parent.state)


def _row(
    asked: NewBackup, instance: Instance, begun: Beginning, *, backup_id: str, parent_id: str | None
) -> Backup:
    now = begun.run.started_at
    return Backup(
        id=backup_id,
        project_id=instance.project_id,
        instance_id=instance.id,
        name=asked.name,
        description=asked.description,
        parent_id=parent_id,
        datastore=instance.datastore,
        datastore_version=instance.datastore_version,
        volume_gib=instance.volume_gib,
        created_at=now,
        updated_at=now,
    )


def _doom(call: Call, begun: Beginning, backup_id: str) -> None:
    """Let nobody build on a backup, or on one that builds on it, any more.

    Raises:
        BackupBusy: one of them is being made, restored or deleted.
    """
    tx, now = begun.tx, begun.run.started_at
    # Whoever builds on a backup or restores one has the project's turn while he looks at it, too.
    quotas.take_turn(tx, call.project_id, now)
    family = backups.family(tx, backup_id)
    if not family:
        raise NotFound(resource="Backup", id=backup_id)
    being_restored = _being_restored(tx, {backup.id for backup in family})
    for backup in family:
        if backup.state in UNFINISHED | {BackupState.DELETING}:
            raise BackupBusy(id=backup.id, state=backup.state)
        if backup.id in being_restored:
            raise BackupBusy(id=backup.id, state="being restored")
        backups.move(tx, backup.id, {backup.state}, BackupState.DELETING, now, fault_message=None)


def _being_restored(tx: Tx, backup_ids: Collection[str]) -> set[str]:
    """Return those that instances which are being created start from."""
    creations = [run for run in runs.open_runs(tx) if run.operation == "instance_create"]
    return {json.loads(run.traits).get("restore_point") for run in creations} & set(backup_ids)


def _listed(call: Call, filters: Filters) -> Answer:
    request, offset = _page(call)
    with call.services.database.reading() as tx:
        rows = backups.page(tx, filters, limit=request.limit + 1, offset=offset)
    page = cut(rows, limit=request.limit, marker_of=lambda _: str(offset + request.limit))
    body = {"backups": _views(call, page.items)}
    return Answer(200, call.paged(body, request, page.next_marker))


def _views(call: Call, rows: Sequence[Backup]) -> JSON:
    return [backup_view(backup, call.services.datastores) for backup in rows]


def _page(call: Call) -> tuple[PageRequest, int]:
    """Return which page is asked for; here the marker is the number of backups before it."""
    asked = {"limit": str(call.services.settings.page_limit), **call.query}
    request = page_request(asked, maximum=_LARGEST_PAGE)
    marker = request.marker or "0"
    if not _OFFSET.fullmatch(marker):
        raise BadRequest(reason="marker must be a whole number.")
    return request, int(marker)


def _datastore_name(call: Call, wanted: str | None) -> str | None:
    if not wanted:
        return None
    datastore = call.services.datastores.get(wanted)
    if datastore is None:
        raise NotFound(resource="Datastore", id=wanted)
    return datastore.name
