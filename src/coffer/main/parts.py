"""The parts that several processes are composed of, built from the configuration."""

import contextlib
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from oslo_config import cfg

from coffer.api.services import Services
from coffer.api.settings import ApiSettings
from coffer.catalogue.facts import QUOTA
from coffer.catalogue.operations import ServerType
from coffer.clouds.cloud import Cloud
from coffer.clouds.local.cloud import LocalCloud
from coffer.clouds.local.flavors import load_flavors
from coffer.clouds.local.launcher import GuestLauncher
from coffer.clouds.local.settings import LocalSettings
from coffer.clouds.object_store import ObjectStore
from coffer.conductor.door import Door
from coffer.conductor.reports import Reports
from coffer.datastores.driver import EngineSettings
from coffer.datastores.registry import Registry, discover
from coffer.lifecycle.announcer import Announcer
from coffer.lifecycle.emitter import Emitter
from coffer.lifecycle.presence import Identity, Presence, Trouble
from coffer.lifecycle.runs import Lifecycle
from coffer.lifecycle.watchdog import Watchdog
from coffer.main import access, periodic
from coffer.main.agent_settings import agent_settings
from coffer.main.health import checks
from coffer.main.machine import engines_of, objects_of
from coffer.main.quotas import quotas
from coffer.main.settings import understood
from coffer.main.strangers import Strangers
from coffer.store.database import Database
from coffer.taskmanager.bounds import Bounds
from coffer.taskmanager.enrolment import Enrolments, FormerGuests, Unenrolled
from coffer.taskmanager.instances import InstanceTasks
from coffer.taskmanager.leftovers import Leftovers
from coffer.taskmanager.leftovers import Strangers as UnknownReplicas
from coffer.taskmanager.periodic import Chore, Periodic
from coffer.taskmanager.resume import resumer
from coffer.taskmanager.unlaunched import Unlaunched
from coffer.wire import transport
from coffer.wire.broker_watch import BrokerWatch
from coffer.wire.contracts import CONDUCTOR, TASKMANAGER, Contract
from coffer.wire.guest_client import GuestClient
from coffer.wire.rpc import RpcServer, RpcTransport
from coffer.wire.taskmanager_client import TaskmanagerClient


def rpc_of(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack) -> RpcTransport:
    """Return the way to the other services, closed with `cleanup`.

    Raises:
        SettingsError: if there is none where `transport_url` points.
    """
    with understood("transport_url"):
        rpc = transport.rpc_transport(conf)
    cleanup.callback(rpc.close)
    return rpc


def presence_of(
    conf: cfg.ConfigOpts, database: Database, identity: Identity, kind: str, trouble: Trouble
) -> Presence:
    """Return the sign of life of any service, also of one that has no lifecycle."""
    interval_s = min(5.0, conf.service_down_time / 4)
    return Presence(database, identity, kind=kind, trouble=trouble, interval_s=interval_s)


class Part(Protocol):
    """Something that runs beside the rest of a process."""

    def start(self) -> None:
        """Begin; returns at once."""

    def stop(self) -> object:
        """End, and wait until it has ended."""


@dataclass(slots=True)
class Site:
    """What the services of one process share.

    `wake` is set after each commit that left events in the outbox; a relay in the same process waits for it.
    `port` is where this process listens, 0 if nowhere. With `strangers` the guests are not trusted.
    """

    conf: cfg.ConfigOpts
    database: Database
    rpc: RpcTransport
    root: Path
    port: int = 0
    strangers: Strangers | None = None
    wake: threading.Event = field(default_factory=threading.Event)

    def lifecycle(self, server_type: ServerType) -> Lifecycle:
        """Return the lifecycle of a service of this process, with an identity of its own."""
        address = self.conf.my_ip
        emitter = Emitter(
            server_type=server_type,
            host=self.conf.host,
            server_ip=f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}",
            service_id=str(uuid.uuid4()),
        )
        return Lifecycle(
            self.database,
            Announcer(emitter, event_types={QUOTA: self.conf.quota_event_type}),
            wake=self.wake.set,
            service_ids=self.conf.notification_service_id,
            # A caller of the API waits for an answer, and can ask again; a task or a guest's report is lost.
            patience_s=0.0 if server_type is ServerType.API else self.conf.database_patience,
        )

    def presence(self, lifecycle: Lifecycle, kind: str, *, trouble: Trouble = lambda: None) -> Presence:
        """Return the sign of life of a service: several times before the others would take it for dead."""
        return presence_of(self.conf, self.database, lifecycle.announcer.emitter, kind, trouble)

    def watch(self, name: str, contract: Contract | None = None) -> BrokerWatch | None:
        """Return the watch over the broker for a service that serves `contract`; None without a broker.

        Raises:
            SettingsError: if there is none where `transport_url` points.
        """
        topic = None if contract is None else contract.topic
        with understood("transport_url"):
            return transport.broker_watch(self.conf, name=name, topic=topic, server=self.conf.host)

    def guest(self, instance_id: str) -> GuestClient:
        """Return the client of an instance's guest agent."""
        transport = self.strangers.transport if self.strangers else self.rpc
        return GuestClient(transport, instance_id, pin=self.conf.upgrade_levels.guestagent)

    def tasks(self) -> TaskmanagerClient:
        """Return the client of the taskmanagers."""
        return TaskmanagerClient(self.rpc, pin=self.conf.upgrade_levels.taskmanager)

    def engines(self) -> EngineSettings:
        """Return where this machine has its database servers."""
        return engines_of(self.conf, self.root)

    def objects(self) -> ObjectStore:
        """Return where the backups are kept."""
        return objects_of(self.conf, self.root)

    def datastores(self) -> Registry:
        """Return the datastores whose engines are on this machine."""
        return discover().offered(self.engines())

    def cloud(self, launcher: GuestLauncher) -> LocalCloud:
        """Return the local cloud, its guests started by `launcher`."""
        local = self.conf.local_cloud
        settings = LocalSettings(
            availability_zone=local.availability_zone,
            address=local.address,
            ports=range(local.first_port, local.last_port + 1),
            base_uid=local.base_uid,
            uid_count=local.uid_count,
            min_free_gib=local.min_free_gib,
            agent_settings=agent_settings(self.conf, self.root) if self.strangers else None,
        )
        flavors = load_flavors(Path(local.flavors_file) if local.flavors_file else None)
        return LocalCloud(self.root, flavors, launcher, settings)

    def services(
        self, lifecycle: Lifecycle, cloud: Cloud, datastores: Registry, *, watch: BrokerWatch | None = None
    ) -> Services:
        """Return what the REST API works with; it says at `/healthz` how the broker under `watch` is."""
        conf = self.conf
        return Services(
            database=self.database,
            lifecycle=lifecycle,
            taskmanager=self.tasks(),
            guest=self.guest,
            cloud=cloud,
            datastores=datastores,
            authenticator=access.authenticator(conf),
            policy=access.policy(conf),
            settings=ApiSettings(
                region=conf.region,
                default_datastore=conf.default_datastore,
                max_volume_gib=conf.max_accepted_volume_size,
                heartbeat_expiry_s=conf.agent_heartbeat_expiry,
            ),
            quotas=quotas(conf),
            checks=checks(self.database, watch),
        )

    def conductor(self, lifecycle: Lifecycle) -> RpcServer | Door:
        """Return the guests' door, closed."""
        if self.strangers is not None:
            return self.strangers.door(Reports(lifecycle))
        return CONDUCTOR.server(self.rpc, server=self.conf.host, endpoint=Reports(lifecycle))

    def taskmanager(self, lifecycle: Lifecycle, cloud: Cloud) -> RpcServer:
        """Return the server of the tasks, not started."""
        tasks = InstanceTasks(lifecycle, cloud, self.guest, objects=self.objects())
        return TASKMANAGER.server(self.rpc, server=self.conf.host, endpoint=tasks)

    def watchdog(self, lifecycle: Lifecycle) -> Watchdog:
        """Return the watchdog, not started."""
        return Watchdog(
            lifecycle,
            resume=resumer(self.tasks()),
            interval_s=self.conf.watchdog_interval,
            service_down_s=self.conf.service_down_time,
        )

    def periodic(self, lifecycle: Lifecycle, cloud: Cloud, enrolments: Enrolments | None = None) -> Periodic:
        """Return what a taskmanager does by itself from time to time, not started.

        Raises:
            SettingsError: if the class that the operator has named cannot be used.
        """
        found = periodic.chores(self.conf, lifecycle)
        rounds: list[Chore] = [
            Unlaunched(lifecycle, cloud),
            Leftovers(lifecycle, self.guest),
            UnknownReplicas(lifecycle, self.guest),
        ]
        if enrolments is not None:
            rounds.append(Unenrolled(self.database, cloud, enrolments))
            rounds.append(FormerGuests(self.database, enrolments))
            if enrolments.accounts is not None:
                rounds.append(Bounds(enrolments.accounts))
        return Periodic([*rounds, *found])
