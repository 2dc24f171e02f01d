"""A backup row as the body that the clients read."""

from coffer.api.views.links import moment
from coffer.datastores.registry import Registry
from coffer.store.backups import Backup
from coffer.wire.json import JSON

_GIB = 2**30


def backup_view(backup: Backup, datastores: Registry) -> dict[str, JSON]:
    """Return a backup, alone or in a list. `fault` is ours: why there is none."""
    datastore = datastores.get(backup.datastore)
    version = datastore.version(backup.datastore_version) if datastore else None
    body: dict[str, JSON] = {
        "id": backup.id,
        "name": backup.name,
        "description": backup.description,
        "locationRef": backup.location,
        "instance_id": backup.instance_id,
        "parent_id": backup.parent_id,
        "project_id": backup.project_id,
        "created": moment(backup.created_at),
        "updated": moment(backup.updated_at),
        "size": _gib(backup.size_bytes),
        "status": str(backup.state),
        "datastore": {
            "type": backup.datastore,
            "version": backup.datastore_version,
            "version_id": version.id if version else None,
        },
    }
    if backup.fault_message is not None:
        body["fault"] = {"message": backup.fault_message, "created": moment(backup.updated_at)}
    return body


def _gib(size_bytes: int | None) -> float | None:
    """Return a size in GiB, as Trove counts, rounded up: what is there is not nothing."""
    return None if size_bytes is None else -(-size_bytes * 100 // _GIB) / 100
