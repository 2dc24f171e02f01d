"""Operations on backups. Source: ceilometer-integration spec, dbaas.backup_*."""

from coffer.catalogue.operation import Operation, ServerType
from coffer.catalogue.shared_traits import text
from coffer.catalogue.states import USABLE, InstanceState, Move

_COLLECTION = "/v1.0/{project_id}/backups"

CREATE = Operation(
    name="backup_create",
    sentence="Copy the data of an instance to the backup storage.",
    rest=f"POST {_COLLECTION}",
    python_api="backups.create(name, instance, description, parent_id, …)",
    ended_by=ServerType.CONDUCTOR,
    deadline_s=3600,
    subject="backup",
    start=(
        text("name", "Name of the new backup."),
        text("instance_id", "Instance whose data to copy.", required=False),
        text("description", "Description of the new backup.", required=False),
        text("parent_id", "Backup that an incremental one builds on.", required=False),
    ),
    end=(text("backup_id", "Backup that was made."),),
    extension=(text("backup_id", "Backup that is being made.", required=False),),
    # No state of its own for the ending, good or bad: the instance is again what it was before.
    move=Move(allowed=USABLE, during=InstanceState.BACKUP),
    built=True,
)

DELETE = Operation(
    name="backup_delete",
    sentence="Delete a backup and the incremental ones that build on it.",
    rest=f"DELETE {_COLLECTION}/{{backup_id}}",
    python_api="backups.delete(backup)",
    ended_by=ServerType.TASK,
    deadline_s=3600,
    subject="backup",
    start=(text("backup_id", "Backup to delete."),),
    resumable=True,
    built=True,
)

ROWS = (CREATE, DELETE)
