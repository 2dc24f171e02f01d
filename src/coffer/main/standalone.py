"""`coffer standalone`: the whole control plane in one process, on a directory.

RPC stays inside the process. So do the events, which the relay hands to the collector; unless
`[oslo_messaging_notifications] transport_url` names a broker, then they go there and the collector reads them there.
"""

import contextlib
import functools
import logging
import socket
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from oslo_config import cfg

from coffer.api.app import build_app
from coffer.catalogue.operations import ServerType
from coffer.collector import migrate as collector_schema
from coffer.collector.collector import Collector
from coffer.collector.database import Database as CollectorDatabase
from coffer.lifecycle.emitter import utcnow
from coffer.lifecycle.presence import Registrant
from coffer.main import guests, http, logs, signals, state_dir
from coffer.main.failures import EXPECTED
from coffer.main.parts import Part, Site, presence_of, rpc_of
from coffer.main.settings import load, understood
from coffer.relay.relay import Relay
from coffer.store import migrate, runs, services
from coffer.store.database import Database
from coffer.store.runs import Run
from coffer.taskmanager.reconcile import reconcile, reconcile_backups
from coffer.wire import transport
from coffer.wire.local_publisher import LocalPublisher

LOG = logging.getLogger(__name__)


def run(directory: Path, host: str, port: int, config_files: Sequence[Path]) -> None:
    """Serve until SIGINT or SIGTERM; a second start on the same directory continues where the first stopped.

    Raises:
        SystemExit: with a sentence, if it cannot start.
    """
    try:
        with state_dir.held(directory) as held:
            # The RPC of one process needs no broker; a prefix of its own keeps two in one test process apart.
            conf = load(
                config_files,
                defaults={"transport_url": "kombu+memory://", "rpc_topic_prefix": f"{uuid.uuid4().hex[:8]}."},
            )
            logs.start(conf)
            with http.listening(host, port) as listener:
                _serve(held, conf, listener)
    except EXPECTED as error:
        sys.exit(f"coffer cannot start: {error}")


def _serve(directory: Path, conf: cfg.ConfigOpts, listener: socket.socket) -> None:
    address, port = listener.getsockname()[:2]
    with contextlib.ExitStack() as cleanup:
        site = _site(directory, conf, port, cleanup)
        _carry_events(directory, site, cleanup)
        api, task, conductor = (
            site.lifecycle(kind) for kind in (ServerType.API, ServerType.TASK, ServerType.CONDUCTOR)
        )
        orphans = _left_behind(site)
        for lifecycle, kind in ((api, "api"), (task, "taskmanager"), (conductor, "conductor")):
            _started(cleanup, site.presence(lifecycle, kind))
        _started(cleanup, site.conductor(conductor))
        datastores = site.datastores()
        launcher = guests.ThreadLauncher(
            lambda guest_dir: guests.agent(
                guest_dir,
                rpc=site.rpc,
                registry=datastores,
                engines=site.engines(),
                report_interval_s=conf.report_interval,
                objects=site.objects(),
            )
        )
        cloud = site.cloud(launcher)
        cloud.check()
        periodic = site.periodic(task, cloud)
        cleanup.callback(cloud.stop_guests)
        _started(cleanup, site.taskmanager(task, cloud))
        watchdog = site.watchdog(task)
        recovered = watchdog.recover(orphans)
        LOG.info("recovered runs=%d", recovered)
        reconcile(site.database, cloud)
        reconcile_backups(site.database, site.objects())
        _started(cleanup, watchdog)
        _started(cleanup, periodic)
        application = build_app(site.services(api, cloud, datastores))
        url = f"http://{address}:{port}"
        state_dir.publish_endpoint(directory, url)
        print(f"coffer listens on {url}, its state is in {directory}", flush=True)  # noqa: T201 - the one line a person waits for
        http.serve(
            application,
            listener,
            threads=conf.api.threads,
            reload=functools.partial(signals.reload, conf),
        )
        LOG.info("stopping")


def _site(directory: Path, conf: cfg.ConfigOpts, port: int, cleanup: contextlib.ExitStack) -> Site:
    url = conf.database.connection or f"sqlite:///{directory / 'coffer.db'}"
    with understood("[database] connection"):
        migrate.upgrade(url)
        database = Database(url, pool_size=16)
    cleanup.callback(database.close)
    return Site(conf=conf, database=database, rpc=rpc_of(conf, cleanup), root=directory, port=port)


def _carry_events(directory: Path, site: Site, cleanup: contextlib.ExitStack) -> None:
    """Start the collector and the relay, directly joined or with a broker between them."""
    conf = site.conf
    with understood("[collector] connection"):
        database = CollectorDatabase(conf.collector.connection or f"sqlite:///{directory / 'collector.db'}")
    cleanup.callback(database.close)
    collector_schema.upgrade(database)
    collector = Collector(database, utcnow)
    if conf.oslo_messaging_notifications.transport_url:
        with understood("[oslo_messaging_notifications] transport_url"):
            publisher = transport.publisher(conf, has_collector=True)
            consumer = transport.consumer(conf, collector.receive)
        _started(cleanup, consumer)
    else:
        publisher = LocalPublisher([collector.receive])
    # The same name at every start: whoever held the lease under it is dead, so there is no need to wait for its end.
    holder = f"relay.{conf.host}.{directory}"
    relay = Relay(site.database, publisher, holder, utcnow, wake=site.wake)
    identity = Registrant(str(uuid.uuid4()), conf.host)
    _started(cleanup, presence_of(conf, site.database, identity, "relay", relay.trouble))
    _started(cleanup, relay)


def _left_behind(site: Site) -> list[Run]:
    """Sign off the services of an earlier start; return the runs that they left open.

    The database in our own directory has no other users, so whoever is registered there is gone, and with the
    process went every task and every guest that worked on a run. With a shared database the watchdog decides.
    """
    if site.conf.database.connection:
        return []
    with site.database.writing() as tx:
        for service in services.list_all(tx):
            services.remove(tx, service.id)
        return runs.open_runs(tx)


def _started(cleanup: contextlib.ExitStack, part: Part) -> None:
    """Start a part, and stop it when the rest goes down."""
    part.start()
    cleanup.callback(part.stop)
