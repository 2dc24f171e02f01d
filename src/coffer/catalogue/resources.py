"""What a quota limits: the resources of which a project may have so many and no more."""

from collections.abc import Mapping
from enum import StrEnum


class Resource(StrEnum):
    """A resource by its name in the REST API and in the quota event."""

    INSTANCES = "instances"
    """Database instances, whatever their state."""
    RAM = "ram"
    """MiB of memory of their flavors."""
    VOLUMES = "volumes"
    """GiB of volumes."""
    BACKUPS = "backups"
    """Backups that are kept."""


UNLIMITED = -1
"""The limit that is none."""

DEFAULT_LIMITS: Mapping[Resource, int] = {
    Resource.INSTANCES: 10,
    Resource.RAM: UNLIMITED,
    Resource.VOLUMES: 40,
    Resource.BACKUPS: 50,
}
"""Trove's. MiB of ram, GiB of volumes."""
