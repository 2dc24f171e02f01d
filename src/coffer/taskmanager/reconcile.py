"""Makes the cloud agree with the database: nothing runs and nothing lies on disk that nobody owns."""

import logging
import threading

from coffer.catalogue.errors import CofferError
from coffer.catalogue.states import BackupState
from coffer.clouds.cloud import Cloud
from coffer.clouds.object_store import ObjectStore
from coffer.store import backups, instances
from coffer.store.database import Database
from coffer.store.errors import StoreError

LOG = logging.getLogger(__name__)


def reconcile(database: Database, cloud: Cloud) -> None:
    """Start the guests of live instances, remove what is left of deleted ones. Done when a taskmanager starts.

    An instance whose row is there is owned, broken or not: its tenant can still delete it. What the database has
    never heard of is not touched: perhaps it is the database that was lost, and the data is all that is left.
    """
    # The cloud is asked first: an instance that begins between the two questions is then in the second answer.
    found = cloud.owned()
    with database.reading() as tx:
        known = {instance_id: instances.get(tx, instance_id) for instance_id in found}
    living = [instance_id for instance_id, row in known.items() if row and row.deleted_at is None]
    for instance_id, row in sorted(known.items()):
        if row is None:
            LOG.error("the cloud has an instance that the database does not know instance_id=%s", instance_id)
        elif row.deleted_at is not None:
            _remove(cloud, instance_id)
    cloud.start_guests(sorted(living))


class Keeper:
    """Looks every `interval_s` whether the guests of live instances run, and starts those that died."""

    def __init__(self, database: Database, cloud: Cloud, *, interval_s: float) -> None:
        """Keep the guests that `cloud` has on this machine."""
        self._database = database
        self._cloud = cloud
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Look in a thread until stopped."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more, and wait for the look under way."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self._look()
            except (StoreError, CofferError) as error:
                LOG.warning("guests not looked after reason=%s", error)

    def _look(self) -> None:
        found = self._cloud.owned()
        with self._database.reading() as tx:
            rows = [instances.get(tx, instance_id) for instance_id in found]
        self._cloud.start_guests([row.id for row in rows if row and row.deleted_at is None])


def _remove(cloud: Cloud, instance_id: str) -> None:
    LOG.warning("removing what is left of a deleted instance instance_id=%s", instance_id)
    try:
        cloud.delete(instance_id)
    except CofferError as error:
        LOG.warning("something is still left instance_id=%s reason=%s", instance_id, error)


def reconcile_backups(database: Database, objects: ObjectStore) -> None:
    """Remove what is left in the object store of deleted backups, and of failed ones: of a late guest, say.

    What belongs to no backup that the database has ever heard of is not touched either.
    """
    try:
        found = objects.folders()
    except CofferError as error:
        LOG.warning("the storage of the backups is not looked through reason=%s", error)
        return
    with database.reading() as tx:
        known = {folder: backups.get(tx, folder) for folder in found}
    for folder, row in known.items():
        if row is None:
            LOG.error("the storage has a backup that the database does not know backup_id=%s", folder)
        elif row.deleted_at is not None or row.state is BackupState.FAILED:
            LOG.warning("removing what is left of a backup backup_id=%s state=%s", folder, row.state)
            try:
                objects.delete(folder)
            except CofferError as error:
                LOG.warning("something is still left backup_id=%s reason=%s", folder, error)
