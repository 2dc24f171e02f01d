"""Guest agents: as threads of a standalone control plane, or one as a process of its own."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from coffer.catalogue.errors import CloudFailed, CofferError
from coffer.clouds.local.guest_config import GuestConfigInvalid
from coffer.clouds.object_store import ObjectStore
from coffer.datastores.driver import EngineSettings
from coffer.datastores.registry import Registry
from coffer.guestagent.agent import GuestAgent, load_driver
from coffer.guestagent.trust import Renew
from coffer.wire.channel import ServedChannel
from coffer.wire.conductor_client import ConductorClient

LOG = logging.getLogger(__name__)


def agent(
    guest_dir: Path,
    *,
    rpc: ServedChannel,
    registry: Registry,
    engines: EngineSettings,
    report_interval_s: float,
    objects: ObjectStore,
    renew: Renew | None = None,
    conductor_pin: str | None = None,
) -> GuestAgent:
    """Return the agent of the instance that lives in `guest_dir`, not started.

    Raises:
        GuestConfigInvalid: there is no usable `guest.json`.
        CofferError: nobody here knows its datastore or version.
    """
    instance_id, driver = load_driver(guest_dir, registry=registry, engines=engines)
    return GuestAgent(
        instance_id=instance_id,
        guest_dir=guest_dir,
        driver=driver,
        conductor=ConductorClient(rpc, pin=conductor_pin),
        transport=rpc,
        report_interval_s=report_interval_s,
        objects=objects,
        renew=renew,
    )


class ThreadLauncher:
    """The `GuestLauncher` of a single process: each agent is a handful of threads of it."""

    def __init__(self, make: Callable[[Path], GuestAgent]) -> None:
        """Make agents with `make`."""
        self._make = make
        self._agents: dict[str, GuestAgent] = {}
        self._lock = threading.Lock()

    def launch(self, guest_dir: Path) -> None:
        """Start the agent of an instance, unless it runs.

        Raises:
            CloudFailed: it cannot be started; the reason is for the tenant.
        """
        with self._lock:
            if guest_dir.name in self._agents:
                return
        try:
            made = self._make(guest_dir)
        except (GuestConfigInvalid, CofferError) as error:
            LOG.error("guest agent cannot start instance_id=%s reason=%s", guest_dir.name, error)  # noqa: TRY400
            raise CloudFailed(reason="The guest agent of the instance cannot be started.") from error
        with self._lock:
            # Started under the lock: whoever stops the agent finds it started.
            if self._agents.setdefault(guest_dir.name, made) is made:
                made.start()

    def stop(self, instance_id: str) -> None:
        """Stop the agent, if it runs; its database server lives on."""
        with self._lock:
            running = self._agents.pop(instance_id, None)
        if running is not None:
            running.stop()
