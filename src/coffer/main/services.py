"""One service as a process of its own, on a database and a broker that all of them share.

SIGTERM ends a service after the work under way (10 s at most, then the watchdog of another one sees to it). The guest
agents that a taskmanager started live on, as the database servers do: the next taskmanager finds them, and an agent
ends with its instance.
"""

import contextlib
import functools
import logging
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from oslo_config import cfg

from coffer.catalogue.operations import ServerType
from coffer.clouds.local.launcher import ProcessLauncher, guest_command
from coffer.clouds.local.layout import Layout
from coffer.collector import migrate as collector_schema
from coffer.collector.collector import Collector
from coffer.collector.database import Database as CollectorDatabase
from coffer.datastores.registry import discover
from coffer.lifecycle.emitter import utcnow
from coffer.main import guests, http, logs
from coffer.main.asgi import Threaded
from coffer.main.failures import EXPECTED
from coffer.main.parts import Part, Site, rpc_of
from coffer.main.settings import SettingsError, load, required, understood
from coffer.relay.relay import Relay
from coffer.store import migrate
from coffer.store.database import Database
from coffer.taskmanager.reconcile import Keeper, reconcile, reconcile_backups
from coffer.wire import transport

LOG = logging.getLogger(__name__)


def run(kind: str, config_files: Sequence[Path], *, guest_dir: Path | None = None) -> None:
    """Run the service `kind` until SIGINT or SIGTERM; `guest_dir` is for the guest agent only.

    Raises:
        SystemExit: with a sentence, if it cannot start.
    """
    os.umask(0o077)
    try:
        conf = load(config_files)
        logs.start(conf)
        if kind == "api":
            _api(conf, config_files)
            return
        signalled = _on_signal()
        with contextlib.ExitStack() as cleanup:
            if kind == "guestagent":
                assert guest_dir is not None
                _guestagent(conf, cleanup, guest_dir)
            else:
                _KINDS[kind](conf, cleanup, config_files)
            signalled.wait()
            LOG.info("stopping service=%s", kind)
    except EXPECTED as error:
        sys.exit(f"coffer {kind} cannot start: {error}")


def upgrade(config_files: Sequence[Path]) -> tuple[str, ...]:
    """Bring the control plane's database to this version's schema; return what it has then."""
    with understood("[database] connection"):
        return migrate.upgrade(required(load(config_files), "database", "connection"))


def _taskmanager(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, _: Sequence[Path]) -> None:
    site = _site(conf, cleanup)
    lifecycle = site.lifecycle(ServerType.TASK)
    launcher = ProcessLauncher(Layout(site.root.resolve()).instances, guest_command)
    cloud = site.cloud(launcher)
    cloud.check()
    periodic = site.periodic(lifecycle, cloud)
    _started(cleanup, site.presence(lifecycle, "taskmanager"))
    _started(cleanup, site.taskmanager(lifecycle, cloud))
    reconcile(site.database, cloud)
    reconcile_backups(site.database, site.objects())
    _started(cleanup, Keeper(site.database, cloud, interval_s=conf.local_cloud.guest_check_interval))
    _started(cleanup, site.watchdog(lifecycle))
    _started(cleanup, periodic)


def _conductor(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, _: Sequence[Path]) -> None:
    site = _site(conf, cleanup)
    lifecycle = site.lifecycle(ServerType.CONDUCTOR)
    _started(cleanup, site.presence(lifecycle, "conductor"))
    _started(cleanup, site.conductor(lifecycle))
    # Here too: runs must end in time also where no taskmanager is left.
    _started(cleanup, site.watchdog(lifecycle))


def _relay(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, _: Sequence[Path]) -> None:
    database = _database(conf, cleanup)
    holder = f"relay.{conf.host}.{uuid.uuid4().hex[:8]}"
    with understood("transport_url"):
        publisher = transport.publisher(conf, has_collector=conf.relay_declares_collector_queue)
    _started(cleanup, Relay(database, publisher, holder, utcnow))
    LOG.info("relay started holder=%s", holder)


def _collector(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, _: Sequence[Path]) -> None:
    with understood("[collector] connection"):
        database = CollectorDatabase(required(conf, "collector", "connection"))
    cleanup.callback(database.close)
    collector_schema.upgrade(database)
    with understood("[oslo_messaging_notifications] transport_url"):
        consumer = transport.consumer(conf, Collector(database, utcnow).receive)
    _started(cleanup, consumer)


def _guestagent(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, guest_dir: Path) -> None:
    rpc = rpc_of(conf, cleanup)
    agent = guests.agent(
        guest_dir,
        rpc=rpc,
        registry=discover(),
        # The instance lies in ROOT/instances/ID, the engines in ROOT/engines.
        engines=Site.engines_of(conf, guest_dir.resolve().parent.parent),
        report_interval_s=conf.report_interval,
        objects=Site.objects_of(conf, guest_dir.resolve().parent.parent),
    )
    _started(cleanup, agent)


_KINDS: dict[str, Callable[[cfg.ConfigOpts, contextlib.ExitStack, Sequence[Path]], None]] = {
    "taskmanager": _taskmanager,
    "conductor": _conductor,
    "relay": _relay,
    "collector": _collector,
}


def _api(conf: cfg.ConfigOpts, config_files: Sequence[Path]) -> None:
    """Serve the REST API with worker processes until SIGINT or SIGTERM."""
    # What is wrong with the configuration is said here, once, and not by each worker that dies of it.
    with contextlib.ExitStack() as cleanup:
        _site(conf, cleanup)
    http.serve_workers(
        functools.partial(_application, tuple(config_files)),
        host=conf.api.bind_host,
        port=conf.api.bind_port,
        workers=conf.api.workers,
    )


def _application(config_files: Sequence[Path]) -> Threaded:
    """Build the API in a worker process."""
    conf = load(config_files)
    logs.start(conf)
    cleanup = contextlib.ExitStack()
    site = _site(conf, cleanup, port=conf.api.bind_port)
    lifecycle = site.lifecycle(ServerType.API)
    _started(cleanup, site.presence(lifecycle, "api"))
    # Of the cloud, the API asks for the flavors only: it launches nothing.
    cloud = site.cloud(ProcessLauncher(Layout(site.root.resolve()).instances, guest_command))
    application = site.application(lifecycle, cloud, site.datastores())
    return Threaded(application, threads=conf.api.threads, close=cleanup.close)


def _site(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, *, port: int = 0) -> Site:
    database = _database(conf, cleanup)
    rpc = rpc_of(conf, cleanup)
    root = Path(required(conf, "local_cloud", "root"))
    return Site(conf=conf, database=database, rpc=rpc, root=root, port=port)


def _database(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack) -> Database:
    url = required(conf, "database", "connection")
    with understood("[database] connection"):
        if not migrate.is_current(url):
            raise SettingsError("the database has another schema than this version; run: coffer db upgrade")
        database = Database(url)
    cleanup.callback(database.close)
    return database


def _started(cleanup: contextlib.ExitStack, part: Part) -> None:
    part.start()
    cleanup.callback(part.stop)


def _on_signal() -> threading.Event:
    """Return what SIGINT or SIGTERM sets, from now on; also one that comes while the service starts."""
    signalled = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        signalled.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)
    return signalled
