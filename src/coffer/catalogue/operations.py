"""THE TABLE: every operation that coffer announces, the 29 of the ceilometer-integration spec in order."""

from collections.abc import Mapping
from types import MappingProxyType

from coffer.catalogue.operation import Operation, ServerType
from coffer.catalogue.rows import backups, clusters, configurations, databases, instances, users

__all__ = ["IDENTIFYING", "OPERATIONS", "Operation", "ServerType"]

ROWS: tuple[Operation, ...] = (
    *instances.ROWS,
    *clusters.ROWS,
    *backups.ROWS,
    *databases.ROWS,
    *users.ROWS,
    *configurations.ROWS,
)

OPERATIONS: Mapping[str, Operation] = MappingProxyType({row.name: row for row in ROWS})
"""Every operation by its name, in the specification's order."""

IDENTIFYING = frozenset(
    {
        "instance_id",
        "dbname",
        "username",
        "database",
        "cluster_id",
        "backup_id",
        "configuration_id",
        "name",
    }
)
"""Start traits that say what a run is about; repeated in its ending, so that one event is enough to know."""
