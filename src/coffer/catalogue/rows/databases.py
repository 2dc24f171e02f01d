"""Operations on the databases of an instance. Source: ceilometer-integration spec, dbaas.database_*."""

from coffer.catalogue.operation import Operation, ServerType
from coffer.catalogue.shared_traits import text
from coffer.catalogue.states import SERVING, Move

_COLLECTION = "/v1.0/{project_id}/instances/{instance_id}/databases"

CREATE = Operation(
    name="database_create",
    sentence="Create a database; a call that names several is one run each.",
    rest=f"POST {_COLLECTION}",
    python_api="databases.create(instance, databases)",
    ended_by=ServerType.CONDUCTOR,
    deadline_s=120,
    subject="instance",
    start=(
        text("instance_id", "Instance to create the database in."),
        text("dbname", "Database to create."),
    ),
    move=Move(allowed=SERVING),
    item_trait="dbname",
    built=True,
)

DELETE = Operation(
    name="database_delete",
    sentence="Delete a database with its data.",
    rest=f"DELETE {_COLLECTION}/{{dbname}}",
    python_api="databases.delete(instance, dbname)",
    ended_by=ServerType.CONDUCTOR,
    deadline_s=120,
    subject="instance",
    start=(
        text("instance_id", "Instance to delete the database from."),
        text("dbname", "Database to delete."),
    ),
    move=Move(allowed=SERVING),
    built=True,
)

ROWS = (CREATE, DELETE)
