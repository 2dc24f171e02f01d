"""One service as a process of its own, on a database and a broker that all of them share."""

import contextlib
import functools
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from wsgiref.types import WSGIApplication

from oslo_config import cfg

from coffer.catalogue.errors import CofferError
from coffer.catalogue.operations import ServerType
from coffer.clouds.cloud import CloudMisconfigured
from coffer.clouds.local.guest_config import GuestConfigInvalid
from coffer.clouds.local.launcher import ProcessLauncher, guest_command
from coffer.clouds.local.layout import Layout
from coffer.collector import migrate as collector_schema
from coffer.collector.collector import Collector
from coffer.collector.database import CollectorDatabaseError
from coffer.collector.database import Database as CollectorDatabase
from coffer.datastores.registry import discover
from coffer.lifecycle.emitter import utcnow
from coffer.main import guests, http, logs
from coffer.main.parts import Part, Site
from coffer.main.settings import SettingsError, load, required
from coffer.relay.relay import Relay
from coffer.store import migrate
from coffer.store.database import Database
from coffer.store.errors import StoreError
from coffer.taskmanager.reconcile import reconcile
from coffer.wire import transport
from coffer.wire.delivery import NotDeliveredError

EXPECTED = (
    SettingsError,
    StoreError,
    CollectorDatabaseError,
    CloudMisconfigured,
    GuestConfigInvalid,
    NotDeliveredError,
    CofferError,
    http.CannotListenError,
)
"""What an operator can mend; told in a sentence, without a traceback."""


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
            http.serve_workers(
                functools.partial(_application, tuple(config_files)),
                host=conf.api.bind_host,
                port=conf.api.bind_port,
                workers=conf.api.workers,
                threads=conf.api.threads,
            )
            return
        with contextlib.ExitStack() as cleanup:
            if kind == "guestagent":
                assert guest_dir is not None
                _guestagent(conf, cleanup, guest_dir)
            else:
                _KINDS[kind](conf, cleanup, config_files)
            _until_signalled()
    except EXPECTED as error:
        sys.exit(f"coffer {kind} cannot start: {error}")


def upgrade(config_files: Sequence[Path]) -> tuple[str, ...]:
    """Bring the control plane's database to this version's schema; return what it has then."""
    return migrate.upgrade(required(load(config_files), "database", "connection"))


def _taskmanager(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, config_files: Sequence[Path]) -> None:
    site = _site(conf, cleanup)
    lifecycle = site.lifecycle(ServerType.TASK)
    launcher = ProcessLauncher(Layout(site.root.resolve()).instances, guest_command(config_files))
    cloud = site.cloud(launcher)
    cloud.check()
    _started(cleanup, site.presence(lifecycle, "taskmanager"))
    _started(cleanup, site.taskmanager(lifecycle, cloud))
    reconcile(site.database, cloud)
    _started(cleanup, site.watchdog(lifecycle))


def _conductor(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, _: Sequence[Path]) -> None:
    site = _site(conf, cleanup)
    lifecycle = site.lifecycle(ServerType.CONDUCTOR)
    _started(cleanup, site.presence(lifecycle, "conductor"))
    _started(cleanup, site.conductor(lifecycle))


def _relay(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, _: Sequence[Path]) -> None:
    database = _database(conf, cleanup)
    holder = f"relay.{conf.host}.{uuid.uuid4().hex[:8]}"
    _started(cleanup, Relay(database, transport.publisher(conf), holder, utcnow))


def _collector(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, _: Sequence[Path]) -> None:
    database = CollectorDatabase(required(conf, "collector", "connection"))
    cleanup.callback(database.close)
    collector_schema.upgrade(database)
    _started(cleanup, transport.consumer(conf, Collector(database, utcnow).receive))


def _guestagent(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, guest_dir: Path) -> None:
    rpc = transport.rpc_transport(conf)
    cleanup.callback(rpc.close)
    agent = guests.agent(
        guest_dir,
        rpc=rpc,
        registry=discover(),
        # The instance lies in ROOT/instances/ID, the engines in ROOT/engines.
        engines=Site.engines_of(conf, guest_dir.resolve().parent.parent),
        report_interval_s=conf.report_interval,
    )
    _started(cleanup, agent)


_KINDS: dict[str, Callable[[cfg.ConfigOpts, contextlib.ExitStack, Sequence[Path]], None]] = {
    "taskmanager": _taskmanager,
    "conductor": _conductor,
    "relay": _relay,
    "collector": _collector,
}


def _application(config_files: Sequence[Path]) -> WSGIApplication:
    """Build the API in a worker process, which serves until it is stopped."""
    conf = load(config_files)
    logs.start(conf)
    site = _site(conf, contextlib.ExitStack(), port=conf.api.bind_port)
    lifecycle = site.lifecycle(ServerType.API)
    site.presence(lifecycle, "api").start()
    # Of the cloud, the API asks for the flavors only: it launches nothing.
    cloud = site.cloud(ProcessLauncher(Layout(site.root.resolve()).instances, guest_command(config_files)))
    return site.application(lifecycle, cloud, site.datastores())


def _site(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, *, port: int = 0) -> Site:
    database = _database(conf, cleanup)
    rpc = transport.rpc_transport(conf)
    cleanup.callback(rpc.close)
    root = Path(required(conf, "local_cloud", "root"))
    return Site(conf=conf, database=database, rpc=rpc, root=root, port=port)


def _database(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack) -> Database:
    url = required(conf, "database", "connection")
    if not migrate.is_current(url):
        raise SettingsError("the database has another schema than this version; run: coffer db upgrade")
    database = Database(url)
    cleanup.callback(database.close)
    return database


def _started(cleanup: contextlib.ExitStack, part: Part) -> None:
    part.start()
    cleanup.callback(part.stop)


def _until_signalled() -> None:
    """Wait in the main thread for SIGINT or SIGTERM."""
    signalled = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        signalled.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)
    signalled.wait()
