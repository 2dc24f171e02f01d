"""A new instance from a backup: which one is meant, and whether the new instance can hold it."""

from coffer.api.backups import found
from coffer.api.bodies import DatastoreRef, NewInstance
from coffer.api.call import Call
from coffer.catalogue.errors import BackupNotCompleted, BackupTooLarge, BadRequest, NotFound
from coffer.catalogue.states import BackupState
from coffer.store import backups
from coffer.store.backups import Backup
from coffer.store.database import Tx


def restore_point(call: Call, asked: NewInstance) -> Backup | None:
    """Find the backup that is asked for, by its id or a link that ends in it; None: an empty instance is meant.

    Raises:
        NotFound: there is no such backup.
    """
    if asked.restore_point is None:
        return None
    return found(call, asked.restore_point.backup_ref.rstrip("/").rpartition("/")[2])


def datastore_wanted(asked: NewInstance, backup: Backup | None) -> DatastoreRef:
    """Return the datastore that is asked for; what is left out is that of the backup."""
    named = asked.datastore or DatastoreRef()
    if backup is None:
        return named
    is_version_named = bool(named.version or named.version_number)
    return DatastoreRef(
        type=named.type or backup.datastore,
        version=named.version if is_version_named else backup.datastore_version,
        version_number=named.version_number,
    )


def require_restorable(tx: Tx, backup: Backup, *, datastore: str, version: str, volume_gib: int) -> None:
    """Refuse what cannot be restored, or not into such an instance; what the call has read before may be old.

    Call it when the project has allocated what the instance takes up: then nobody deletes the backup meanwhile.

    Raises:
        NotFound, BackupNotCompleted, BadRequest, BackupTooLarge.
    """
    present = backups.find(tx, backup.project_id, backup.id)
    if present is None:
        raise NotFound(resource="Backup", id=backup.id)
    if present.state is not BackupState.COMPLETED:
        raise BackupNotCompleted(id=present.id, state=present.state)
    if (present.datastore, present.datastore_version) != (datastore, version):
        raise BadRequest(
            reason=f"Backup {present.id} is one of {present.datastore} {present.datastore_version}."
        )
    if present.volume_gib is not None and present.volume_gib > volume_gib:
        raise BackupTooLarge(id=present.id, needed_gib=present.volume_gib, volume_gib=volume_gib)
