"""An instance as administrators see it: what its tenant sees, and what is the operator's business."""

from collections.abc import Sequence
from dataclasses import replace

from coffer.api.views.instances import Viewer, detail
from coffer.api.views.links import moment
from coffer.store.instances import Instance
from coffer.wire.json import JSON


def managed(
    instance: Instance, version_number: str | None, viewer: Viewer, *, replicas: Sequence[str] = ()
) -> dict[str, JSON]:
    """Return an instance of whatever project; its links lead to where its own project finds it."""
    owners = replace(viewer, here=viewer.here._replace(project_id=instance.project_id))
    server: JSON = {"id": instance.server_id, "name": instance.name, "tenant_id": instance.project_id}
    root_at = instance.root_enabled_at
    return {
        **detail(instance, version_number, owners, replicas=replicas),
        "server": server,
        "service_status": str(instance.service_status),
        "guest_status": {"state_description": str(instance.service_status)},
        "task_description": str(instance.state),
        "deleted": instance.deleted_at is not None,
        "deleted_at": moment(instance.deleted_at) if instance.deleted_at else None,
        "root_enabled": root_at is not None,
        "root_enabled_at": moment(root_at) if root_at else None,
    }
