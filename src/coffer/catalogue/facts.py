"""The status notifications: facts about billable resources and quotas, which belong to no phase of a run.

Source: ceilometer-integration spec, "Trove Status Notifications". The tenant is ours, and so are
the sizes and the cluster in `exists`.
"""

from dataclasses import dataclass

from coffer.catalogue.shared_traits import TENANT_ID, moment, number, text
from coffer.catalogue.traits import Trait, TraitType


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One status notification: `traits` are the specification's, `extension` ours."""

    event_type: str
    sentence: str
    traits: tuple[Trait, ...]
    extension: tuple[Trait, ...]


BASE = (
    text("instance_type", "Name of the instance's flavor."),
    text("user_id", "User who made the call; in `exists` the one who created the instance."),
    Trait(
        name="resource_id",
        type=TraitType.TEXT,
        description="The instance's id.",
        payload_key="instance_id",
    ),
    text("instance_type_id", "Id of the instance's flavor."),
    moment("launched_at", "The same as created_at; a bill starts here."),
    text("instance_name", "Name of the instance."),
    text("state", "State of the instance."),
    text("state_description", "State of the instance in words."),
    text("nova_instance_id", "Id of the server that the instance runs on.", required=False),
    text("service_id", "Id of the datastore for the bill (option notification_service_id)."),
    moment("created_at", "When the instance was asked for."),
    text("region", "OpenStack region of the instance."),
)
"""In every `trove.instance.*` (the specification's `trove_base_traits`)."""

_INSTANCE_SIZE = number("instance_size", "Memory of the instance.", unit="MiB")
_VOLUME_SIZE = number(
    "volume_size", "Size of the instance's volume, if it has one.", unit="GiB", required=False
)
_CLUSTER_ID = text("cluster_id", "Cluster that the instance is a member of, if it is one.", required=False)

QUOTA = "trove.quota"
OTHER_QUOTA_NAMES = ("dbaas.quota", "dbaas.quotas")
"""What the quota event is called elsewhere: by upstream and by the specification's heading."""

COMMON = (
    text("name", "Name of the instance."),
    text("availability_zone", "Availability zone of the instance.", required=False),
    _INSTANCE_SIZE,
    _VOLUME_SIZE,
    text("nova_volume_id", "Id of the instance's volume, if it has one.", required=False),
    _CLUSTER_ID,
)
"""In all but `exists` (the specification's `trove_common_traits`)."""

FACTS: tuple[Fact, ...] = (
    Fact(
        event_type="trove.instance.create",
        sentence="An instance is there, and costs from its launched_at on.",
        traits=(*BASE, *COMMON),
        extension=(TENANT_ID,),
    ),
    Fact(
        event_type="trove.instance.delete",
        sentence="An instance is gone with everything it used, and costs no more.",
        traits=(*BASE, *COMMON, moment("deleted_at", "When the deletion was complete.")),
        extension=(TENANT_ID,),
    ),
    Fact(
        event_type="trove.instance.modify_volume",
        sentence="The volume of an instance has another size.",
        traits=(
            *BASE,
            *COMMON,
            number("old_volume_size", "Size of the volume before.", unit="GiB"),
            moment("modify_at", "When the volume had its new size."),
        ),
        extension=(TENANT_ID,),
    ),
    Fact(
        event_type="trove.instance.modify_flavor",
        sentence="An instance has another flavor.",
        traits=(
            *BASE,
            *COMMON,
            number("old_instance_size", "Memory of the instance before.", unit="MiB"),
            moment("modify_at", "When the instance had its new flavor."),
        ),
        extension=(TENANT_ID,),
    ),
    Fact(
        event_type="trove.instance.exists",
        sentence="An instance existed in an audit period; sent once a period (exists_notification_interval).",
        traits=(
            *BASE,
            text("display_name", "Name of the instance."),
            moment("audit_period_beginning", "Beginning of the audit period."),
            moment("audit_period_ending", "End of the audit period."),
        ),
        extension=(TENANT_ID, _INSTANCE_SIZE, _VOLUME_SIZE, _CLUSTER_ID),
    ),
    Fact(
        event_type=QUOTA,
        sentence="How much of a quota a project uses; sent once a resource (quota_notification_interval).",
        traits=(
            text("resource", "What the quota limits: instances, ram, volumes or backups."),
            number("in_use", "How much of it is used now."),
            number("reserved", "How much of it is reserved for what is being created."),
            number("limit", "How much of it may be used; -1: as much as there is."),
            moment("updated", "When the use last changed.", required=False),
        ),
        extension=(TENANT_ID,),
    ),
)
