"""An instance row as the body that the clients read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from coffer.api.views.links import Here, moment
from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.store.instances import Instance
from coffer.wire.json import JSON

SERVING = frozenset({InstanceState.ACTIVE, InstanceState.RESTART_REQUIRED, InstanceState.BACKUP})
"""The states in which the server's own health is shown; in the others Trove shows an empty text."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks, from where and when; everything a view needs besides the row."""

    here: Here
    now: datetime
    heartbeat_expiry_s: float
    is_admin: bool


def operating_status(instance: Instance, viewer: Viewer) -> str:
    """Return what the guest last said of its server; ERROR where it has been silent for too long."""
    if instance.state not in SERVING:
        return ""
    seen_at = instance.service_seen_at
    if seen_at is None or viewer.now - seen_at > timedelta(seconds=viewer.heartbeat_expiry_s):
        return str(ServiceStatus.UNKNOWN)
    return str(instance.service_status)


def summary(
    instance: Instance, version_number: str | None, viewer: Viewer, *, replicas: Sequence[str] = ()
) -> dict[str, JSON]:
    """Return an instance as the lists show it; `replicas` are the ids of its own."""
    here = viewer.here
    body: dict[str, JSON] = {
        "id": instance.id,
        "name": instance.name,
        "status": str(instance.state),
        "operating_status": operating_status(instance, viewer),
        "links": here.links(f"instances/{instance.id}"),
        "flavor": {"id": instance.flavor_id, "links": here.links(f"flavors/{instance.flavor_id}")},
        "datastore": _datastore(instance, version_number),
        "region": instance.region,
        "access": {"is_public": False, "allowed_cidrs": []},
        "created": moment(instance.created_at),
        "updated": moment(instance.updated_at),
        **_whereabouts(instance),
    }
    if instance.volume_gib is not None:
        body["volume"] = _volume(instance, instance.volume_gib)
    if instance.replica_of is not None:
        body["replica_of"] = _linked(here, instance.replica_of)
    if replicas:
        body["replicas"] = [_linked(here, each) for each in replicas]
    if instance.cluster_id is not None:
        body["cluster_id"] = instance.cluster_id
    return body


def detail(
    instance: Instance,
    version_number: str | None,
    viewer: Viewer,
    *,
    group_name: str | None = None,
    replicas: Sequence[str] = (),
) -> dict[str, JSON]:
    """Return an instance as it is shown alone; `group_name` is its configuration group's."""
    body = summary(instance, version_number, viewer, replicas=replicas)
    if instance.configuration_id is not None:
        group_id = instance.configuration_id
        links = viewer.here.links(f"configurations/{group_id}")
        body["configuration"] = {"id": group_id, "name": group_name, "links": links}
    if instance.availability_zone is not None:
        body["availability_zone"] = instance.availability_zone
    if instance.service_seen_at is not None:
        body["service_status_updated"] = moment(instance.service_seen_at)
    fault = _fault(instance)
    if fault is not None:
        body["fault"] = fault
    if viewer.is_admin:
        body |= {
            "tenant_id": instance.project_id,
            "server_id": instance.server_id,
            "volume_id": instance.volume_id,
            "encrypted_rpc_messaging": False,
        }
    return body


def _linked(here: Here, instance_id: str) -> JSON:
    return {"id": instance_id, "links": here.links(f"instances/{instance_id}")}


def _volume(instance: Instance, size_gib: int) -> JSON:
    """Return the volume; what is used of it (GiB) as soon as the guest has said so."""
    if instance.volume_used_bytes is None:
        return {"size": size_gib}
    used_gib = instance.volume_used_bytes / 2**30
    return {"size": size_gib, "used": round(used_gib, 2), "used_percent": round(100 * used_gib / size_gib, 1)}


def _datastore(instance: Instance, version_number: str | None) -> JSON:
    body: dict[str, JSON] = {"type": instance.datastore, "version": instance.datastore_version}
    if version_number is not None:
        body["version_number"] = version_number
    return body


def _whereabouts(instance: Instance) -> dict[str, JSON]:
    """Return how to reach the server. `port` is ours: on one machine every server has a port of its own."""
    if instance.host is None:
        return {}
    body: dict[str, JSON] = {
        "ip": [instance.host],
        "addresses": [{"address": instance.host, "type": "private", "network": None}],
    }
    if instance.port is not None:
        body["port"] = instance.port
    return body


def _fault(instance: Instance) -> JSON:
    """Return the reason of the last failure of ours, if it still stands."""
    if instance.fault_message is None:
        if instance.state != InstanceState.ERROR:
            return None
        return {
            "message": "The instance failed; the operator finds the reason in its events.",
            "created": moment(instance.updated_at),
            "details": None,
        }
    return {
        "message": instance.fault_message,
        "created": moment(instance.fault_at or instance.updated_at),
        "details": None,
    }
