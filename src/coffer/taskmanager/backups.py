"""Tasks of backups: having one made, removing one with all that build on it, making an instance from one."""

from collections.abc import Callable, Sequence

from coffer.catalogue.errors import BackupDamaged, BackupNotCompleted, GuestFailed, NotFound
from coffer.catalogue.states import BackupState, ServiceStatus
from coffer.clouds.object_store import ObjectStore
from coffer.lifecycle.runs import Ending, Lifecycle, RunNotOpenError
from coffer.store import backups
from coffer.store.backups import Backup
from coffer.taskmanager.tasks import Outcome, runs
from coffer.wire.context import TroveContext
from coffer.wire.guest_client import GuestClient
from coffer.wire.json import JSON


class Backups:
    """Makes and deletes backups. Each has a folder of its id in the object store."""

    lifecycle: Lifecycle
    _guest: Callable[[str], GuestClient]
    _objects: ObjectStore

    @runs
    def create_backup(self, ctx: TroveContext, *, backup_id: str) -> Outcome:
        """Let the guest, whose server must run, make the backup and end the run."""
        assert ctx.notification is not None
        run_id = ctx.notification.run_id
        backup = self._backup(backup_id)
        guest = self._guest(backup.instance_id)
        if guest.status(ctx.with_ticket(None)) != ServiceStatus.HEALTHY:
            raise GuestFailed(
                reason="The database server of the instance does not run; restart the instance."
            )
        with self.lifecycle.database.writing() as tx:
            now = self.lifecycle.clock()
            location = archive_of(backup_id)
            began = backups.move(
                tx, backup_id, {BackupState.NEW}, BackupState.BUILDING, now, location=location
            )
        if not began or not self.lifecycle.hand_over(run_id, backup.instance_id):
            raise RunNotOpenError(f"run {run_id} ended before its backup began")
        parent_manifest = None if backup.parent_id is None else manifest_of(backup.parent_id)
        guest.create_backup(
            ctx,
            {"archive": location, "manifest": manifest_of(backup_id), "parent_manifest": parent_manifest},
        )
        return Outcome.HANDED_OVER

    @runs
    def delete_backup(self, ctx: TroveContext, *, backup_id: str) -> Outcome:
        """Remove what there is of a backup and of all that build on it, then say so. May be done twice."""
        assert ctx.notification is not None
        with self.lifecycle.database.reading() as tx:
            doomed = backups.family(tx, backup_id)
        for backup in reversed(doomed):
            self._objects.delete(backup.id)

        def forget(ending: Ending) -> None:
            for backup in doomed:
                backups.delete(ending.tx, backup.id, ending.now)

        self.lifecycle.end(ctx.notification.run_id, forget)
        return Outcome.ENDED

    def _chain(self, backup_id: str) -> list[dict[str, JSON]]:
        """Return what a guest needs to restore a backup.

        Raises:
            BackupNotCompleted, BackupDamaged: it is not whole, or was deleted meanwhile.
        """
        with self.lifecycle.database.reading() as tx:
            found = backups.chain(tx, backup_id)
        if not found or found[0].parent_id is not None:
            raise BackupDamaged(id=backup_id, reason="a backup that it builds on is not there")
        return [_to_json(backup) for backup in _completed(found)]

    def _backup(self, backup_id: str) -> Backup:
        with self.lifecycle.database.reading() as tx:
            backup = backups.get(tx, backup_id)
        if backup is None:
            raise NotFound(resource="Backup", id=backup_id)
        return backup


def archive_of(backup_id: str) -> str:
    """Return the name of a backup's archive in the object store."""
    return f"{backup_id}/archive"


def manifest_of(backup_id: str) -> str:
    """Return the name of the list of a backup's files in the object store."""
    return f"{backup_id}/manifest"


def _completed(chain: Sequence[Backup]) -> Sequence[Backup]:
    for backup in chain:
        if backup.state is not BackupState.COMPLETED or backup.deleted_at is not None:
            raise BackupNotCompleted(id=backup.id, state=backup.state)
    return chain


def _to_json(backup: Backup) -> dict[str, JSON]:
    return {"id": backup.id, "archive": backup.location, "checksum": backup.checksum}
