"""One service as a process of its own, on a database and a broker that all of them share.

SIGTERM ends a service after the work under way, for which there is a limit; a taskmanager hands on what it could not
finish. The guest agents that it started live on, as the database servers do: the next taskmanager finds them, and an
agent ends with its instance. SIGHUP has a service read its configuration again.
"""

import contextlib
import functools
import logging
import os
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from oslo_config import cfg

from coffer.api.app import HEALTH, build_app
from coffer.api.at_once import AtOnce
from coffer.api.settings import ApiSettings
from coffer.catalogue.operations import ServerType
from coffer.clouds.local.launcher import ProcessLauncher, guest_command
from coffer.clouds.local.layout import Layout
from coffer.collector import migrate as collector_schema
from coffer.collector.collector import Collector
from coffer.collector.database import Database as CollectorDatabase
from coffer.conductor.door import Door
from coffer.lifecycle.emitter import utcnow
from coffer.lifecycle.presence import Registrant, Trouble
from coffer.lifecycle.runs import Lifecycle
from coffer.main import access, http, log_stream, logs
from coffer.main.failures import EXPECTED
from coffer.main.parts import Part, Site, presence_of, rpc_of
from coffer.main.rsgi import Threaded
from coffer.main.serving import Serving
from coffer.main.settings import SettingsError, load, required, understood
from coffer.main.signals import Signals, reload
from coffer.main.strangers import strangers_of
from coffer.relay.relay import Relay
from coffer.store import bell, migrate
from coffer.store.database import Database
from coffer.taskmanager.enrolment import EnrollingCloud, Unenrolled
from coffer.taskmanager.reconcile import Keeper, reconcile, reconcile_backups
from coffer.wire import transport
from coffer.wire.broker_watch import BrokerWatch
from coffer.wire.contracts import CONDUCTOR, TASKMANAGER, Contract

LOG = logging.getLogger(__name__)


def run(kind: str, config_files: Sequence[Path]) -> None:
    """Run the service `kind` until SIGINT or SIGTERM.

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
        signals = Signals()
        with contextlib.ExitStack() as cleanup:
            serving = _KINDS[kind](conf, cleanup, config_files)
            signals.wait(functools.partial(reload, conf))
            LOG.info("stopping service=%s", kind)
        if serving is not None and serving.is_unfinished:
            # Its threads would keep us: what they do now is another's to do.
            logging.shutdown()
            os._exit(0)
    except EXPECTED as error:
        sys.exit(f"coffer {kind} cannot start: {error}")


def upgrade(config_files: Sequence[Path]) -> tuple[str, ...]:
    """Bring the control plane's database to this version's schema; return what it has then."""
    with understood("[database] connection"):
        return migrate.upgrade(required(load(config_files), "database", "connection"))


def _taskmanager(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, _: Sequence[Path]) -> Serving:
    site = _site(conf, cleanup)
    lifecycle = site.lifecycle(ServerType.TASK)
    launcher = ProcessLauncher(Layout(site.root.resolve()).instances, guest_command)
    local = site.cloud(launcher)
    local.check()
    enrolments = site.strangers.enrolments(conf) if site.strangers else None
    cloud = EnrollingCloud(local, enrolments) if enrolments else local
    periodic = site.periodic(lifecycle, cloud, enrolments)
    watchdog = site.watchdog(lifecycle)
    watch = _watched(cleanup, site, lifecycle, "taskmanager", TASKMANAGER)
    serving = Serving(
        site.taskmanager(lifecycle, cloud),
        watch=watch,
        limit_s=conf.graceful_shutdown_timeout,
        give_up=watchdog.hand_over,
    )
    _started(cleanup, serving)
    if enrolments is not None:
        # Those that an earlier coffer made: without credentials their agents would not come up.
        Unenrolled(site.database, cloud, enrolments).at_start()
    reconcile(site.database, cloud)
    reconcile_backups(site.database, site.objects())
    _started(cleanup, Keeper(site.database, cloud, interval_s=conf.local_cloud.guest_check_interval))
    _started(cleanup, watchdog)
    _started(cleanup, periodic)
    return serving


def _conductor(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, _: Sequence[Path]) -> Serving:
    site = _site(conf, cleanup)
    lifecycle = site.lifecycle(ServerType.CONDUCTOR)
    # The door for strangers looks after its own queue.
    door = site.conductor(lifecycle)
    more = door.trouble if isinstance(door, Door) else None
    contract = None if site.strangers else CONDUCTOR
    watch = _watched(cleanup, site, lifecycle, "conductor", contract, more=more)
    serving = Serving(door, watch=watch, limit_s=conf.graceful_shutdown_timeout)
    _started(cleanup, serving)
    # Here too: runs must end in time also where no taskmanager is left.
    _started(cleanup, site.watchdog(lifecycle))
    return serving


def _watched(
    cleanup: contextlib.ExitStack,
    site: Site,
    lifecycle: Lifecycle,
    kind: str,
    contract: Contract | None = None,
    *,
    more: Trouble | None = None,
) -> BrokerWatch | None:
    """Start the sign of life of a service, and the watch over what it needs of the broker.

    `more` knows of trouble that the watch cannot see.
    """
    watch = site.watch(kind, contract)
    sources: list[Trouble] = [] if watch is None else [watch.trouble]
    sources += [] if more is None else [more]

    def trouble() -> str | None:
        return next((said for each in sources if (said := each()) is not None), None)

    if watch is not None:
        _started(cleanup, watch)
    _started(cleanup, site.presence(lifecycle, kind, trouble=trouble))
    return watch


def _relay(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, _: Sequence[Path]) -> None:
    database = _database(conf, cleanup)
    holder = f"relay.{conf.host}.{uuid.uuid4().hex[:8]}"
    with understood("transport_url"):
        publisher = transport.publisher(conf, has_collector=conf.relay_declares_collector_queue)
    wake = threading.Event()
    if bell.is_there(database):
        _started(cleanup, bell.Listener(database, wake.set))
    relay = Relay(database, publisher, holder, utcnow, wake=wake)
    _started(cleanup, presence_of(conf, database, Registrant(holder, conf.host), "relay", relay.trouble))
    _started(cleanup, relay)
    LOG.info("relay started holder=%s", holder)


def _collector(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, _: Sequence[Path]) -> None:
    with understood("[collector] connection"):
        database = CollectorDatabase(required(conf, "collector", "connection"))
    cleanup.callback(database.close)
    collector_schema.upgrade(database)
    with understood("[oslo_messaging_notifications] transport_url"):
        consumer = transport.consumer(conf, Collector(database, utcnow).receive)
    if conf.database.connection:
        # Only to be seen by `coffer status`: a collector may run where the control plane's database is out of reach.
        identity = Registrant(str(uuid.uuid4()), conf.host)
        known = presence_of(conf, _database(conf, cleanup), identity, "collector", consumer.trouble)
        _started(cleanup, known)
    _started(cleanup, consumer)


_KINDS: dict[str, Callable[[cfg.ConfigOpts, contextlib.ExitStack, Sequence[Path]], Serving | None]] = {
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
    access.check(conf)
    http.serve_workers(
        functools.partial(_application, tuple(config_files)),
        host=conf.api.bind_host,
        port=conf.api.bind_port,
        workers=conf.api.workers,
        stop_s=conf.graceful_shutdown_timeout,
        # Workers that cannot start would die one after the other, and take the API along.
        reload=functools.partial(reload, conf, access.check),
    )


def _application(config_files: Sequence[Path]) -> Threaded:
    """Build the API in a worker process."""
    conf = load(config_files)
    logs.start(conf)
    cleanup = contextlib.ExitStack()
    site = _site(conf, cleanup, port=conf.api.bind_port)
    lifecycle = site.lifecycle(ServerType.API)
    watch = _watched(cleanup, site, lifecycle, "api")
    # Of the cloud, the API asks for the flavors only: it launches nothing.
    cloud = site.cloud(ProcessLauncher(Layout(site.root.resolve()).instances, guest_command))
    services = site.services(lifecycle, cloud, site.datastores(), watch=watch)
    return Threaded(
        build_app(services),
        threads=conf.api.threads,
        opened=log_stream.write_by_turns,
        close=cleanup.close,
        # By the one byte more the application knows a body that is too long.
        body_limit_bytes=ApiSettings().body_limit_bytes + 1,
        apart=(HEALTH,),
        at_once=AtOnce(services.authenticator),
    )


def _site(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, *, port: int = 0) -> Site:
    database = _database(conf, cleanup)
    rpc = rpc_of(conf, cleanup)
    root = Path(required(conf, "local_cloud", "root"))
    strangers = strangers_of(conf, database, cleanup)
    site = Site(conf=conf, database=database, rpc=rpc, root=root, port=port, strangers=strangers)
    if bell.is_there(database):
        _started(cleanup, bell.Ringer(database, site.wake))
    return site


def _database(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack) -> Database:
    url = required(conf, "database", "connection")
    with understood("[database] connection"):
        schema = migrate.schema(url)
        if schema is migrate.Schema.OLDER:
            raise SettingsError("the database has an older schema than this version; run: coffer db upgrade")
        if schema is migrate.Schema.NEWER:
            # In the middle of an upgrade this is as it should be: a service that dies comes back.
            LOG.warning("database has the schema of a newer version, which has all that this one needs")
        database = Database(url)
    cleanup.callback(database.close)
    return database


def _started(cleanup: contextlib.ExitStack, part: Part) -> None:
    part.start()
    cleanup.callback(part.stop)
