"""An instance as the facts of `trove.instance.*`: what a bill is made of."""

from collections.abc import Mapping

from coffer.lifecycle.payloads import Value
from coffer.store.instances import Instance

UNKNOWN_SERVICE_ID = "unknown-service-id-error"
"""What upstream sends for a datastore without a `notification_service_id`; consumers look for it."""


def instance_facts(
    instance: Instance, *, service_ids: Mapping[str, str], state_description: str | None = None
) -> dict[str, Value]:
    """Return the facts of `instance` by payload field.

    `launched_at` is `created_at`: the specification says so, and a bill starts when the tenant asked.
    """
    return {
        "tenant_id": instance.project_id,
        "user_id": instance.user_id,
        "instance_id": instance.id,
        "instance_name": instance.name,
        "display_name": instance.name,
        "name": instance.name,
        "instance_type": instance.flavor_name,
        "instance_type_id": instance.flavor_id,
        "instance_size": instance.ram_mib,
        "volume_size": instance.volume_gib,
        "nova_instance_id": instance.server_id,
        "nova_volume_id": instance.volume_id,
        "cluster_id": instance.cluster_id,
        "availability_zone": instance.availability_zone,
        "region": instance.region,
        "service_id": service_ids.get(instance.datastore, UNKNOWN_SERVICE_ID),
        "state": instance.state.lower(),
        "state_description": state_description or instance.state.lower(),
        "created_at": instance.created_at,
        "launched_at": instance.created_at,
        "deleted_at": instance.deleted_at,
    }
