"""Backups: from the server beside the agent into the object store, and from there into a new server."""

import hashlib
import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from coffer.catalogue.errors import BackupDamaged, GuestFailed, StorageFailed
from coffer.clouds.object_store import ObjectStore, Stored
from coffer.datastores.driver import Archive
from coffer.guestagent.service import Service
from coffer.guestagent.shapes import MadeBackup, NewBackup, made_backup_from, new_backup_from
from coffer.wire.context import TroveContext
from coffer.wire.json import JSON

LOG = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 2**20


class Backups(Service):
    """The calls about backups."""

    _objects: ObjectStore | None
    _backing_up: threading.Lock

    def create_backup(self, ctx: TroveContext, backup: Mapping[str, JSON]) -> None:
        """Copy the server's data into the object store while it serves; reported with size and checksum."""

        def work() -> Mapping[str, JSON]:
            stored = self._alone(new_backup_from(backup))
            return {"size_bytes": stored.size_bytes, "checksum": stored.checksum}

        self._work.beside(ctx, work, leaves=_folder_of(backup.get("archive")))

    def restore(
        self,
        ctx: TroveContext,
        backups: Sequence[Mapping[str, JSON]],
        databases: Sequence[Mapping[str, JSON]],
        users: Sequence[Mapping[str, JSON]],
        configuration: Mapping[str, JSON] | None = None,
    ) -> None:
        """Make the server from backups, the full one first, and then as `prepare` does; reported."""

        def change() -> None:
            with self._work.preparing():
                driver = self._work.driver
                chain = [made_backup_from(each) for each in backups]
                if not driver.is_prepared():
                    driver.restore(self._verified(chain), is_given_up=self._work.stopping.is_set)
                self._make(databases, users, configuration)

        self._work.in_background(ctx, change)

    def clear(self, folder: str) -> None:
        """Remove the beginning of a backup whose agent was killed; what cannot be goes when the backup is deleted."""
        if self._objects is None:
            return
        try:
            self._objects.delete(folder)
        except (StorageFailed, ValueError) as error:
            LOG.warning("a backup's beginning is left folder=%s reason=%s", folder, error)

    def _alone(self, backup: NewBackup) -> Stored:
        # After a reset the control plane may ask for another one while the last is still being made.
        if not self._backing_up.acquire(blocking=False):
            raise GuestFailed(reason="The last backup of the instance is still being made.")
        try:
            return self._put(self._storage(), backup)
        finally:
            self._backing_up.release()

    def _put(self, objects: ObjectStore, backup: NewBackup) -> Stored:
        """Store an archive with its manifest beside it, both or none of them."""
        try:
            parent_manifest = None
            if backup.parent_manifest is not None:
                with objects.reading(backup.parent_manifest) as stream:
                    parent_manifest = stream.read()
            with objects.writing(backup.archive) as upload:
                manifest = self._work.driver.back_up(
                    upload.write, parent_manifest=parent_manifest, is_given_up=self._work.stopping.is_set
                )
            with objects.writing(backup.manifest) as beside:
                beside.write(manifest)
        except BaseException:
            with suppress(StorageFailed):
                objects.delete(backup.archive.partition("/")[0])
            raise
        return upload.stored()

    def _verified(self, chain: Sequence[MadeBackup]) -> list[Archive]:
        """Return the archives of backups that are what they were when they were made.

        All of them before anything is made of one.

        Raises:
            BackupDamaged, StorageFailed.
        """
        objects = self._storage()
        for backup in chain:
            digest = hashlib.sha256()
            with objects.reading(backup.archive) as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    digest.update(chunk)
            if digest.hexdigest() != backup.checksum:
                raise BackupDamaged(
                    id=backup.id, reason="its checksum is not the one that it was stored with"
                )
        return [Archive(name=each.id, open=partial(objects.reading, each.archive)) for each in chain]

    def _storage(self) -> ObjectStore:
        if self._objects is None:
            raise GuestFailed(reason="The guest agent has no storage for backups.")
        return self._objects


def _folder_of(archive: object) -> str | None:
    """Return the folder of a backup to be made; whether it is one is seen when the backup is made."""
    return archive.partition("/")[0] if isinstance(archive, str) else None
