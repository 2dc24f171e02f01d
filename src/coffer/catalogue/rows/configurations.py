"""Operations on configuration groups. Source: ceilometer-integration spec, dbaas.configuration_*."""

from coffer.catalogue.operation import Operation, ServerType
from coffer.catalogue.shared_traits import text

_COLLECTION = "/v1.0/{project_id}/configurations"
_ONE = f"{_COLLECTION}/{{configuration_id}}"
_DEADLINE_S = 600

CREATE = Operation(
    name="configuration_create",
    sentence="Create a configuration group.",
    rest=f"POST {_COLLECTION}",
    python_api="configurations.create(name, values, description, datastore, datastore_version)",
    ended_by=ServerType.API,
    deadline_s=_DEADLINE_S,
    subject="configuration",
    start=(
        text("name", "Name of the new configuration group."),
        text("datastore", "Datastore that the group is for."),
        text("datastore_version", "Datastore version that the group is for."),
    ),
    end=(text("configuration_id", "Configuration group that was created."),),
    extension=(text("configuration_id", "Configuration group that is being created.", required=False),),
    built=True,
)

DELETE = Operation(
    name="configuration_delete",
    sentence="Delete a configuration group.",
    rest=f"DELETE {_ONE}",
    python_api="configurations.delete(configuration_id)",
    ended_by=ServerType.API,
    deadline_s=_DEADLINE_S,
    subject="configuration",
    start=(text("configuration_id", "Configuration group to delete."),),
    built=True,
)

UPDATE = Operation(
    name="configuration_update",
    sentence="Replace all parameters of a configuration group, and its name or description if given.",
    rest=f"PUT {_ONE}",
    python_api="configurations.update(configuration_id, values, name, description)",
    ended_by=ServerType.API,
    deadline_s=_DEADLINE_S,
    subject="configuration",
    start=(
        text("configuration_id", "Configuration group to update."),
        text("name", "New name of the group.", required=False),
        text("description", "New description of the group.", required=False),
    ),
    built=True,
)

EDIT = Operation(
    name="configuration_edit",
    sentence="Change some parameters of a configuration group.",
    rest=f"PATCH {_ONE}",
    python_api="configurations.edit(configuration_id, values)",
    ended_by=ServerType.API,
    deadline_s=_DEADLINE_S,
    subject="configuration",
    start=(text("configuration_id", "Configuration group to edit."),),
    built=True,
)

ROWS = (CREATE, DELETE, UPDATE, EDIT)
