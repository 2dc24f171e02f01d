"""The local cloud: an instance is a directory, a port, a user id and processes on this machine.

It starts guest agents and never a database server, which is the guest's business; but it knows how to be rid
of everything that an instance ever started.
"""

import errno
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from coffer.catalogue.errors import CloudFailed
from coffer.clouds.cloud import Flavor, Server, ServerSpec
from coffer.clouds.local import entrusted, guest_config, processes, readiness
from coffer.clouds.local.allocation import choose_port, choose_uid
from coffer.clouds.local.failures import told
from coffer.clouds.local.guest_config import GuestConfig, GuestConfigInvalid
from coffer.clouds.local.launcher import GuestLauncher
from coffer.clouds.local.layout import Layout, erase, make_dir
from coffer.clouds.local.processes import Identity
from coffer.clouds.local.settings import GIB, LocalSettings

LOG = logging.getLogger(__name__)

_IDS = uuid.UUID("6d0f3c5e-6f0e-4a53-9a07-6c2b3f5d6c11")
_AT_ONCE = 16


class LocalCloud:
    """Implements `coffer.clouds.cloud.Cloud`; safe from several threads and several processes on one root."""

    def __init__(
        self,
        root: Path,
        flavors: Sequence[Flavor],
        launcher: GuestLauncher,
        settings: LocalSettings | None = None,
        *,
        separate_users: bool | None = None,
    ) -> None:
        """Keep instances below `root` (need not exist yet).

        Args:
            root: the state directory.
            flavors: the sizes on offer.
            launcher: runs the guest agents.
            settings: limits and ranges.
            separate_users: each instance under a user id of its own; None means: if we are root.
        """
        self.layout = Layout(root.resolve())
        self._flavors = tuple(flavors)
        self._launcher = launcher
        self._settings = settings or LocalSettings()
        self._separate_users = readiness.is_root() if separate_users is None else separate_users

    def check(self) -> None:
        """Verify, before the service starts, that instances can live here; makes the shared directories.

        Raises:
            CloudMisconfigured: in words for the operator.
        """
        readiness.check(self.layout, self._settings, separate_users=self._separate_users)

    def flavors(self) -> Sequence[Flavor]:
        """See `Cloud`."""
        return self._flavors

    def zones(self) -> Sequence[str]:
        """See `Cloud`: a machine is one zone."""
        return (self._settings.availability_zone,)

    def create(self, spec: ServerSpec) -> Server:
        """See `Cloud`."""
        guest_dir = self.layout.guest_dir(spec.instance_id)
        with told(spec.instance_id, guest_dir):
            self.layout.make(traversable=self._separate_users)
            with self._changing(spec.instance_id), ExitStack() as undo:
                config = _existing(guest_dir)
                if config is None:
                    undo.callback(self._undo, spec.instance_id)
                    config = self._establish(spec, guest_dir)
                if spec.credentials is not None:
                    self._entrust(guest_dir, spec.credentials)
                self._launch(guest_dir)
                undo.pop_all()
        LOG.info(
            "instance has its place instance_id=%s port=%s uid=%s", spec.instance_id, config.port, config.uid
        )
        return _server(config)

    def resize(self, instance_id: str, flavor: Flavor) -> None:
        """See `Cloud`: the guest divides the memory; the machine's own is not rationed."""
        self._change(instance_id, lambda config: replace(config, ram_mib=flavor.ram_mib))

    def resize_volume(self, instance_id: str, volume_gib: int) -> None:
        """See `Cloud`: the guest holds the server to it; see docs/local-cloud.md."""

        def resized(config: GuestConfig) -> GuestConfig:
            if volume_gib > (config.volume_gib or 0):
                self._require_space()
            return replace(config, volume_gib=volume_gib)

        self._change(instance_id, resized)

    def delete(self, instance_id: str) -> None:
        """See `Cloud`."""
        with told(instance_id, self.layout.guest_dir(instance_id)):
            # Not the directory of the instances: where it could not be made, nothing is in it to be removed.
            self.layout.make_books(traversable=self._separate_users)
            with self._changing(instance_id):
                self._remove(instance_id)
        LOG.info("instance removed instance_id=%s", instance_id)

    def halt(self, instance_id: str) -> None:
        """See `Cloud`."""
        guest_dir = self.layout.guest_dir(instance_id)
        with told(instance_id, guest_dir), self._changing(instance_id):
            self._end_processes(instance_id, guest_dir)
        LOG.info("instance halted instance_id=%s", instance_id)

    def owned(self) -> Sequence[str]:
        """See `Cloud`.

        Raises:
            CloudFailed: the directory of the instances cannot be listed.
        """
        with told("all", self.layout.instances):
            return self.layout.instance_ids()

    def unentrusted(self) -> Sequence[str]:
        """See `Cloud`.

        Raises:
            CloudFailed: the directory of the instances cannot be listed.
        """
        return [each for each in self.owned() if not entrusted.has_credentials(self.layout.guest_dir(each))]

    def distrust(self, instance_id: str) -> None:
        """See `Cloud`. An agent that runs goes on, with what it has read."""
        guest_dir = self.layout.guest_dir(instance_id)
        with told(instance_id, guest_dir):
            self.layout.make(traversable=self._separate_users)
            with self._changing(instance_id):
                entrusted.take_credentials(guest_dir)

    def entrust(self, instance_id: str, credentials: str) -> None:
        """See `Cloud`."""
        guest_dir = self.layout.guest_dir(instance_id)
        with told(instance_id, guest_dir):
            self.layout.make(traversable=self._separate_users)
            with self._changing(instance_id):
                self._entrust(guest_dir, credentials)
                self._launch(guest_dir)
        LOG.info("guest agent has other credentials instance_id=%s", instance_id)

    def start_guests(self, instance_ids: Collection[str]) -> None:
        """See `Cloud`; one that fails is logged and does not keep the others from starting."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="start-guest") as pool:
            list(pool.map(self._start_guest, instance_ids))

    def stop_guests(self) -> None:
        """See `Cloud`; one that fails is logged and does not keep the others from stopping."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="stop-guest") as pool:
            list(pool.map(self._stop_guest, self.owned()))

    def _start_guest(self, instance_id: str) -> None:
        guest_dir = self.layout.guest_dir(instance_id)
        try:
            with told(instance_id, guest_dir), self._changing(instance_id):
                if (guest_dir / guest_config.FILE_NAME).exists():
                    self._launch(guest_dir)
                else:
                    LOG.warning("no place on this machine instance_id=%s path=%s", instance_id, guest_dir)
        except CloudFailed as error:
            LOG.error("guest agent not started instance_id=%s reason=%s", instance_id, error)  # noqa: TRY400

    def _launch(self, guest_dir: Path) -> None:
        if self._settings.agent_settings is not None:
            entrusted.lay_settings(guest_dir, self._settings.agent_settings)
        self._launcher.launch(guest_dir)

    def _entrust(self, guest_dir: Path, credentials: str) -> None:
        """Stop an agent that has others: it would go on with them, and might put them back."""
        if not entrusted.is_entrusted_with(guest_dir, credentials):
            self._launcher.stop(guest_dir.name)
            entrusted.lay_credentials(guest_dir, credentials)

    def _stop_guest(self, instance_id: str) -> None:
        try:
            self._launcher.stop(instance_id)
        except CloudFailed as error:
            LOG.error("guest agent not stopped instance_id=%s reason=%s", instance_id, error)  # noqa: TRY400

    def _changing(self, instance_id: str) -> AbstractContextManager[None]:
        return self.layout.changing(instance_id, self._settings.lock_timeout_s)

    def _establish(self, spec: ServerSpec, guest_dir: Path) -> GuestConfig:
        """Give the instance its user id, port and directory; `guest.json` comes last and says: complete."""
        self._require_space()
        if os.path.lexists(guest_dir):
            self._remove(spec.instance_id)  # what an attempt left that was killed half-way
        with self.layout.allocating(self._settings.lock_timeout_s):
            config = self._allocate(spec)
            make_dir(guest_dir, 0o711 if self._separate_users else 0o700)
            for path in (guest_config.data_dir(guest_dir), guest_config.log_dir(guest_dir)):
                make_dir(path, 0o700)
                if config.uid is not None and config.gid is not None:
                    os.chown(path, config.uid, config.gid)
            config.save(guest_dir)
        return config

    def _change(self, instance_id: str, change: Callable[[GuestConfig], GuestConfig]) -> None:
        """Write what an agent is told anew, for the agents to come; the one that runs is told by the caller."""
        guest_dir = self.layout.guest_dir(instance_id)
        with told(instance_id, guest_dir):
            self.layout.make(traversable=self._separate_users)
            with self._changing(instance_id):
                config = _existing(guest_dir)
                if config is None:
                    LOG.error("no place on this machine instance_id=%s path=%s", instance_id, guest_dir)
                    raise CloudFailed(reason="The machine has no place for the instance any more.")
                change(config).save(guest_dir)

    def _require_space(self) -> None:
        """Refuse what needs space when little is left of it.

        Raises:
            OSError: too little.
        """
        instances = self.layout.instances
        if shutil.disk_usage(instances).free < self._settings.min_free_gib * GIB:
            raise OSError(errno.ENOSPC, "free space is below the reserve", str(instances))

    def _allocate(self, spec: ServerSpec) -> GuestConfig:
        uids, ports = self._taken()
        port = choose_port(self._settings.address, self._settings.ports, ports)
        uid = choose_uid(self._settings.uids, self.layout.books, uids) if self._separate_users else None
        return GuestConfig(
            instance_id=spec.instance_id,
            datastore=spec.datastore,
            datastore_version=spec.datastore_version,
            address=self._settings.address,
            port=port,
            ram_mib=spec.flavor.ram_mib,
            volume_gib=spec.volume_gib,
            uid=uid,
            gid=uid,
        )

    def _taken(self) -> tuple[set[int], set[int]]:
        """Return the user ids and the ports that instances have."""
        uids: set[int] = set()
        ports: set[int] = set()
        for instance_id in self.layout.instance_ids():
            guest_dir = self.layout.guest_dir(instance_id)
            uid = self._uid_of(guest_dir)
            if uid is not None:
                uids.add(uid)
            with suppress(GuestConfigInvalid):
                ports.add(GuestConfig.load(guest_dir).port)
        return uids, ports

    def _uid_of(self, guest_dir: Path) -> int | None:
        """Return the user id of an instance, from the owner of its data where `guest.json` cannot say."""
        with suppress(GuestConfigInvalid):
            return GuestConfig.load(guest_dir).uid
        try:
            owner = guest_config.data_dir(guest_dir).lstat().st_uid
        except OSError:
            return None
        return owner if owner in self._settings.uids else None

    def _remove(self, instance_id: str) -> None:
        """End every process of the instance and remove its directory; whatever of it there is.

        Raises:
            CloudFailed: something is left.
        """
        guest_dir = self.layout.guest_dir(instance_id)
        self._end_processes(instance_id, guest_dir)
        erase(guest_dir, timeout_s=self._settings.erase_deadline_s)

    def _end_processes(self, instance_id: str, guest_dir: Path) -> None:
        """End every process of the instance.

        Raises:
            CloudFailed: some are left.
        """
        uid = self._uid_of(guest_dir)
        self._launcher.stop(instance_id)
        left = processes.end(
            lambda: self._processes_of(guest_dir, uid),
            grace_s=self._settings.stop_grace_s,
            deadline_s=self._settings.stop_deadline_s,
        )
        if left:
            LOG.error("processes survive instance_id=%s pids=%s", instance_id, sorted(it.pid for it in left))
            raise CloudFailed(reason="A process of the instance cannot be stopped.")

    def _processes_of(self, guest_dir: Path, uid: int | None) -> frozenset[Identity]:
        found = processes.about(guest_dir, foreign=self._settings.uids)
        # Whatever guest.json says: never all of root's processes, nor all of our own user's.
        if uid is None or uid in {0, os.getuid(), os.geteuid()}:
            return found
        return found | processes.of_user(uid)

    def _undo(self, instance_id: str) -> None:
        """Leave nothing of a failed creation; raises nothing: the first failure is to be told."""
        try:
            self._remove(instance_id)
        except (CloudFailed, OSError) as error:
            LOG.error("remains of a failed instance stay instance_id=%s reason=%s", instance_id, error)  # noqa: TRY400


def _existing(guest_dir: Path) -> GuestConfig | None:
    """Return what an earlier call made, or None when there is nothing, or something without a `guest.json`.

    Raises:
        CloudFailed: there is an unreadable one; its data may be precious, so it is not made anew.
    """
    if not (guest_dir / guest_config.FILE_NAME).exists():
        return None
    try:
        return GuestConfig.load(guest_dir)
    except GuestConfigInvalid as error:
        LOG.error("an instance is damaged error=%s", error)  # noqa: TRY400
        raise CloudFailed(reason="What the machine keeps about the instance is damaged.") from error


def _server(config: GuestConfig) -> Server:
    """Name server and volume so that asking again names them alike."""
    return Server(
        server_id=str(uuid.uuid5(_IDS, f"server {config.instance_id}")),
        volume_id=None
        if config.volume_gib is None
        else str(uuid.uuid5(_IDS, f"volume {config.instance_id}")),
        address=config.address,
        port=config.port,
    )
