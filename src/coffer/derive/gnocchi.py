"""Gnocchi's resource types for Ceilometer's publisher: an instance, and a project's quotas."""

from coffer.catalogue.events import EVENTS
from coffer.catalogue.facts import QUOTA
from coffer.derive.meters import (
    EXISTS,
    INSTANCE_METERS,
    METADATA,
    QUOTA_NUMBERS,
    QUOTA_RESOURCES,
)
from coffer.derive.yaml_text import Tree, yaml_text

_INSTANCE = "trove_instance"
_QUOTA = "trove_quota"
_CREATED = "trove.instance.create"

_ATTRIBUTES = " \\\n".join(f"    -a {name}:string:false:max_length=255" for name in METADATA)

_HEADER = f"""
Gnocchi resources for coffer. Derived from its catalogue: do not edit, write them anew with
  coffer catalogue --format gnocchi

Append the items to the list `resources` of gnocchi_resources.yaml. Ceilometer does not create the types:
  gnocchi resource-type create {_INSTANCE} \\
{_ATTRIBUTES}
  gnocchi resource-type create {_QUOTA}
"""


def text() -> str:
    """Return the two resource types."""
    return yaml_text(_HEADER, {"resources": [_instance(), _quota()]})


def _instance() -> Tree:
    traits = {trait.name for trait in EVENTS[_CREATED].all_traits}
    told = [name for name in ("project_id", "user_id", *METADATA) if name in traits or name == "project_id"]
    return {
        "resource_type": _INSTANCE,
        "metrics": dict.fromkeys((EXISTS, *(meter.name for meter in INSTANCE_METERS))),
        "attributes": {name: f"resource_metadata.{name}" for name in METADATA},
        "event_create": _CREATED,
        "event_update": ["trove.instance.modify_volume", "trove.instance.modify_flavor"],
        "event_delete": "trove.instance.delete",
        "event_attributes": {"id": "resource_id", **{name: name for name in told}},
    }


def _quota() -> Tree:
    metrics = [f"{QUOTA}.{resource}.{number}" for resource in QUOTA_RESOURCES for number in QUOTA_NUMBERS]
    return {"resource_type": _QUOTA, "metrics": dict.fromkeys(metrics)}
