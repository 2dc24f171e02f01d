"""Ceilometer's meter definitions: which numbers of the status notifications become samples."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from coffer.catalogue.events import EVENTS
from coffer.catalogue.facts import OTHER_QUOTA_NAMES, QUOTA
from coffer.catalogue.resources import Resource
from coffer.derive.yaml_text import Tree, yaml_text

_HEADER = """
Ceilometer meter definitions for coffer. Derived from its catalogue: do not edit, write them anew with
  coffer catalogue --format meters > trove.yaml

Put the file into a directory that [meter] meter_definitions_dirs names BEFORE Ceilometer's own, whose
trove.instance.exists is typed cumulative although each value is one period; the first definition wins.
An instance without a volume has no trove.volume.size; Ceilometer logs a warning for each such notification.
"""

EXISTS = "trove.instance.exists"
PRESENT = ("trove.instance.create", "trove.instance.modify_volume", "trove.instance.modify_flavor", EXISTS)
"""The events that say that an instance is there; its deletion must not count as one more."""

METADATA = (
    "instance_name",
    "instance_type",
    "instance_type_id",
    "state",
    "service_id",
    "region",
    "cluster_id",
    "nova_instance_id",
)
"""The traits that go with every sample of an instance."""

QUOTA_RESOURCES = tuple(str(resource) for resource in Resource)
QUOTA_NUMBERS = ("in_use", "reserved", "limit")


@dataclass(frozen=True, slots=True)
class Meter:
    """A number of an instance. `trait` is where the number stands; None: each event counts one."""

    name: str
    type: str
    event_types: tuple[str, ...]
    trait: str | None
    unit: str


INSTANCE_METERS = (
    Meter("trove.instance", "gauge", PRESENT, None, "instance"),
    Meter("trove.instance.memory", "gauge", PRESENT, "instance_size", "MiB"),
    Meter("trove.volume.size", "gauge", PRESENT, "volume_size", "GiB"),
)


def text() -> str:
    """Return the definitions of the meters."""
    metrics: list[Tree] = [_exists(), *(_instance_meter(meter) for meter in INSTANCE_METERS)]
    metrics += [_quota_meter(number) for number in QUOTA_NUMBERS]
    return yaml_text(_HEADER, {"metric": metrics})


def field_of(event_type: str, name: str) -> str:
    """Return the JSON path of a trait.

    Raises:
        KeyError: if the catalogue has no such trait in the event.
    """
    fields = {trait.name: trait.field for trait in EVENTS[event_type].all_traits}
    return f"$.payload.{fields[name]}"


def _exists() -> Tree:
    beginning, ending = (field_of(EXISTS, name) for name in ("audit_period_beginning", "audit_period_ending"))
    return {
        "name": EXISTS,
        "event_type": _regex([EXISTS]),
        "type": "delta",
        "unit": "s",
        "volume": {"fields": [beginning, ending], "plugin": "timedelta"},
        **_of_instance(),
    }


def _instance_meter(meter: Meter) -> Tree:
    return {
        "name": meter.name,
        "event_type": _regex(meter.event_types),
        "type": meter.type,
        "unit": meter.unit,
        "volume": 1 if meter.trait is None else field_of(EXISTS, meter.trait),
        **_of_instance(),
    }


def _of_instance() -> dict[str, Tree]:
    return {
        "resource_id": field_of(EXISTS, "resource_id"),
        "project_id": field_of(EXISTS, "tenant_id"),
        "user_id": field_of(EXISTS, "user_id"),
        "metadata": {name: field_of(EXISTS, name) for name in METADATA},
    }


def _quota_meter(number: str) -> Tree:
    """Return the meter of one number of every quota.

    The resource is part of the meter's name: a series is a resource id and a meter, nothing else. The id is
    not the bare project, which is already the id of another resource (Keystone's) in a Gnocchi.
    """
    resource = field_of(QUOTA, "resource")
    project = field_of(QUOTA, "tenant_id")
    return {
        "name": f'"trove.quota." + {resource} + ".{number}"',
        "event_type": _regex([QUOTA, *OTHER_QUOTA_NAMES]),
        "type": "gauge",
        "unit": "unit",
        "volume": field_of(QUOTA, number),
        "resource_id": f'"trove_quota_" + {project}',
        "project_id": project,
        "metadata": {"resource": resource},
    }


def _regex(event_types: Sequence[str]) -> Tree:
    """Return patterns that match these types and no longer ones; here Ceilometer wants regexes, not globs."""
    return [f"^{re.escape(event_type)}$" for event_type in event_types]
