"""The agent beside one database server: takes the control plane's calls, reports, and keeps the server known.

It imports neither the store nor the lifecycle: it is a stranger to the control plane, trusted with its own
instance only.
"""

import logging
import threading
from pathlib import Path
from typing import Final

from coffer.catalogue.errors import CofferError, GuestFailed
from coffer.clouds.local.guest_config import GuestConfig
from coffer.clouds.object_store import ObjectStore
from coffer.datastores.driver import Driver, EngineSettings, Place
from coffer.datastores.registry import Registry
from coffer.guestagent.backups import Backups
from coffer.guestagent.configurations import Configurations
from coffer.guestagent.databases import Databases
from coffer.guestagent.heartbeat import Heartbeat
from coffer.guestagent.journal import Journal
from coffer.guestagent.replication import Replication
from coffer.guestagent.reporting import Conductor, Reporter
from coffer.guestagent.resizing import Resizing
from coffer.guestagent.root import Root
from coffer.guestagent.trust import Renew, Trust
from coffer.guestagent.users import Users
from coffer.guestagent.work import Work
from coffer.wire.channel import ServedChannel
from coffer.wire.contracts import GUEST_SERVER, guest_contract
from coffer.wire.delivery import NotDeliveredError

LOG = logging.getLogger(__name__)

_STOP_TIMEOUT_S: Final = 10.0


class Endpoint(Backups, Databases, Users, Root, Resizing, Configurations, Replication, Trust):
    """Everything that the guest's contract promises."""

    def __init__(
        self, work: Work, objects: ObjectStore | None, *, instance_id: str = "", renew: Renew | None = None
    ) -> None:
        """Answer every call with `work`; keep backups in `objects`; take credentials with `renew`."""
        self._instance_id = instance_id
        self._renew = renew
        self._work = work
        self._objects = objects
        self._backing_up = threading.Lock()
        self._ordered_at = {}


class GuestAgent:
    """One instance's agent. It may come and go; the server lives on, and the next agent finds it."""

    def __init__(
        self,
        *,
        instance_id: str,
        guest_dir: Path,
        driver: Driver,
        conductor: Conductor,
        transport: ServedChannel,
        report_interval_s: float = 10.0,
        objects: ObjectStore | None = None,
        renew: Renew | None = None,
    ) -> None:
        """Serve the topic of an instance; say how its server is every `report_interval_s`.

        `guest_dir` is the instance's directory. Backups go into `objects`; without it there are none. `renew` takes
        other credentials where the agent needs some.
        """
        reporter = Reporter(conductor, instance_id, Journal(guest_dir))
        self._reporter = reporter
        self._instance_id = instance_id
        self._work = Work(driver, reporter)
        self._endpoint = Endpoint(self._work, objects, instance_id=instance_id, renew=renew)
        self._server = guest_contract(instance_id).server(
            transport, server=GUEST_SERVER, endpoint=self._endpoint
        )
        self._heartbeat = Heartbeat(
            instance_id=instance_id,
            work=self._work,
            reporter=reporter,
            conductor=conductor,
            interval_s=report_interval_s,
            before=self._serve,
        )
        self._work.changed = self._heartbeat.soon
        self._reviving = threading.Thread(target=self._revive, name=f"revive-{instance_id}", daemon=True)

    def start(self) -> None:
        """Begin to serve and to report, and bring the server back if it should run; returns at once.

        A broker that is not there yet is tried again until it is.
        """
        LOG.info("guest agent starts instance_id=%s", self._instance_id)
        self._reporter.recover(self._endpoint.clear)
        self._heartbeat.start()
        self._reviving.start()

    def stop(self) -> None:
        """Take no more calls and fall silent; the server lives on."""
        self._work.stopping.set()
        # The heartbeat first: it would start the server again.
        self._heartbeat.stop(_STOP_TIMEOUT_S)
        self._server.stop(_STOP_TIMEOUT_S)
        self._reviving.join(_STOP_TIMEOUT_S)
        LOG.info("guest agent stopped instance_id=%s", self._instance_id)

    def _serve(self) -> bool:
        """Begin to take calls; returns whether the broker let us."""
        try:
            self._server.start()
        except NotDeliveredError:
            return False
        return True

    def _revive(self) -> None:
        try:
            self._work.revive()
        except CofferError as error:
            LOG.error("server does not come back instance_id=%s reason=%s", self._instance_id, error.message)  # noqa: TRY400 — the reason says it; the heartbeat says the rest


def place_of(guest: GuestConfig, guest_dir: Path, *, version: str, engines: EngineSettings) -> Place:
    """Return what a driver has to know of the instance that a `guest.json` describes."""
    return Place(
        instance_id=guest.instance_id,
        version=version,
        directory=guest_dir.resolve(),
        address=guest.address,
        port=guest.port,
        ram_mib=guest.ram_mib,
        engines=engines,
        volume_gib=guest.volume_gib,
        uid=guest.uid,
        gid=guest.gid,
    )


def load_driver(guest_dir: Path, *, registry: Registry, engines: EngineSettings) -> tuple[str, Driver]:
    """Return the id of the instance that lives in a directory, and the driver of its server.

    Raises:
        GuestConfigInvalid: there is no usable `guest.json`.
        GuestFailed: nobody here knows its datastore or version.
    """
    guest = GuestConfig.load(guest_dir)
    datastore = registry.get(guest.datastore)
    version = datastore.version(guest.datastore_version) if datastore else None
    if datastore is None or version is None:
        raise GuestFailed(reason=f"{guest.datastore} {guest.datastore_version} is unknown to this agent.")
    place = place_of(guest, guest_dir, version=version.name, engines=engines)
    return guest.instance_id, datastore.make_driver(place)
