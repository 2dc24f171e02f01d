"""Every option of coffer's own, and how a process reads them. Nothing else in coffer reads configuration."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oslo_config import cfg
from oslo_log import log

from coffer.catalogue.facts import OTHER_QUOTA_NAMES, QUOTA
from coffer.catalogue.resources import DEFAULT_LIMITS, UNLIMITED, Resource
from coffer.clouds.local.settings import LocalSettings
from coffer.wire import options as messaging

_LOCAL_CLOUD = LocalSettings()

NOTIFICATION_SERVICE_IDS = {
    "postgresql": "ac277e0d-4f21-40aa-b347-1ea31e571720",
    "mysql": "7a4f82cc-10d2-4bc6-aadc-d9aacc2a3cb5",
    "valkey": "b216ffc5-1947-456c-a4cf-70f94c05f7d0",
}
"""Trove's ids of the same engines (MariaDB's for `mysql`, Redis's for `valkey`), which consumers know."""

DEFAULT = (
    cfg.HostAddressOpt(
        "my_ip", default="127.0.0.1", help="The address that `server_ip` of our events names."
    ),
    cfg.StrOpt(
        "host",
        default=socket.gethostname(),
        sample_default="the host name",
        help="The name of this machine in `publisher_id`.",
    ),
    cfg.StrOpt("region", default="RegionOne", help="The OpenStack region, in the API and in status facts."),
    cfg.StrOpt(
        "auth_strategy",
        default="noauth",
        choices=["noauth", "keystone"],
        help="How callers are known. `noauth` believes everybody on the loopback, and serves nobody else; "
        "`keystone` asks Keystone, see keystone.md.",
    ),
    cfg.ListOpt(
        "noauth_roles",
        default=["member", "reader"],
        help="The roles that every caller has with `auth_strategy = noauth`; `admin` lets all of them manage all.",
    ),
    cfg.FloatOpt("report_interval", default=10.0, min=0.1, help="Seconds between a guest's signs of life."),
    cfg.FloatOpt(
        "agent_heartbeat_expiry",
        default=90.0,
        min=1.0,
        help="Seconds after which a silent guest is shown as such.",
    ),
    cfg.FloatOpt(
        "service_down_time",
        default=60.0,
        min=1.0,
        help="Seconds after which a silent service counts as dead.",
    ),
    cfg.FloatOpt(
        "database_patience",
        default=60.0,
        min=0.0,
        help="Seconds for which a taskmanager or conductor tries again to write how a run ended.",
    ),
    cfg.FloatOpt(
        "graceful_shutdown_timeout",
        default=60.0,
        min=0.0,
        help="Seconds that calls, tasks and messages under way get when a service is asked to stop. A task that is "
        "not done by then is handed to another taskmanager, or ends as an error if it cannot be done twice.",
    ),
    cfg.FloatOpt("watchdog_interval", default=5.0, min=0.1, help="Seconds between looks for lost runs."),
    cfg.StrOpt("default_datastore", help="The datastore of a create call that names none."),
    cfg.IntOpt("max_accepted_volume_size", default=1024, min=1, help="The largest volume, in GiB."),
    cfg.DictOpt(
        "notification_service_id",
        default=NOTIFICATION_SERVICE_IDS,
        help="The trait `service_id` of status facts, by datastore.",
    ),
)

QUOTAS = (
    cfg.IntOpt(
        "max_instances_per_tenant",
        default=DEFAULT_LIMITS[Resource.INSTANCES],
        min=UNLIMITED,
        help="Instances of a project for which no other limit is set; -1: as many as it likes.",
    ),
    cfg.IntOpt(
        "max_ram_per_tenant",
        default=DEFAULT_LIMITS[Resource.RAM],
        min=UNLIMITED,
        help="MiB of memory of all instances of such a project.",
    ),
    cfg.IntOpt(
        "max_volumes_per_tenant",
        default=DEFAULT_LIMITS[Resource.VOLUMES],
        min=UNLIMITED,
        help="GiB of all volumes of such a project.",
    ),
    cfg.IntOpt(
        "max_backups_per_tenant",
        default=DEFAULT_LIMITS[Resource.BACKUPS],
        min=UNLIMITED,
        help="Backups of such a project.",
    ),
)

PERIODIC = (
    cfg.StrOpt(
        "exists_notification_transformer",
        help="The class that makes trove.instance.exists, by its dotted path; ours is "
        "coffer.lifecycle.exists.Exists. Not set: it is not announced.",
    ),
    cfg.IntOpt(
        "exists_notification_interval",
        default=3600,
        min=1,
        help="Seconds of an audit period; periods are aligned to multiples of it, in UTC.",
    ),
    cfg.IntOpt(
        "quota_notification_interval",
        default=-1,
        help="Seconds between two announcements of every project's quotas by a taskmanager; less than 1: never.",
    ),
    cfg.StrOpt(
        "quota_event_type",
        default=QUOTA,
        choices=[QUOTA, *OTHER_QUOTA_NAMES],
        help="What the quota event is called; the others are upstream's name and the specification's heading.",
    ),
)

DATABASE = (
    cfg.StrOpt(
        "connection",
        secret=True,
        help="URL of the control plane's database: postgresql://, mysql:// or sqlite:/// (docs/databases.md). "
        "Standalone: a file in the state directory.",
    ),
)

COLLECTOR = (
    cfg.StrOpt(
        "connection",
        secret=True,
        help="URL of the collector's own database, likewise. Standalone: a file in the state directory.",
    ),
)

API = (
    cfg.HostAddressOpt("bind_host", default="127.0.0.1", help="Where `coffer api` listens."),
    cfg.PortOpt("bind_port", default=8779, help="The port on which `coffer api` listens."),
    cfg.IntOpt("workers", default=1, min=1, help="Processes of `coffer api`."),
    cfg.IntOpt("threads", default=8, min=1, help="Calls that one process serves at a time."),
)

LOCAL_CLOUD = (
    cfg.StrOpt("root", help="Where instances live. Standalone: the state directory."),
    cfg.StrOpt("flavors_file", help="A TOML file with the flavors on offer, in place of the built-in table."),
    cfg.StrOpt(
        "availability_zone",
        default=_LOCAL_CLOUD.availability_zone,
        help="The availability zone that this machine is; instances are created in it, and in no other.",
    ),
    cfg.StrOpt("address", default=_LOCAL_CLOUD.address, help="Where the database servers listen."),
    cfg.PortOpt("first_port", default=_LOCAL_CLOUD.ports[0], help="The first port for database servers."),
    cfg.PortOpt("last_port", default=_LOCAL_CLOUD.ports[-1], help="The last port for database servers."),
    cfg.IntOpt(
        "base_uid",
        default=_LOCAL_CLOUD.base_uid,
        min=1,
        help="The lowest user id for an instance. Used only if the control plane is root.",
    ),
    cfg.IntOpt(
        "uid_count",
        default=_LOCAL_CLOUD.uid_count,
        min=1,
        help="How many user ids from there on are ours; a container may have few.",
    ),
    cfg.FloatOpt(
        "guest_check_interval",
        default=10.0,
        min=0.1,
        help="Seconds between looks for guest agents that died, which a taskmanager then starts again.",
    ),
    cfg.FloatOpt(
        "min_free_gib",
        default=_LOCAL_CLOUD.min_free_gib,
        min=0,
        help="Disk space that must stay free, or nothing is made.",
    ),
)

BACKUPS = (
    cfg.StrOpt(
        "root",
        help="The directory in which backups are kept; the default is `backups` beside the instances'. "
        "A disk of its own is better.",
    ),
)

GUESTS = (
    cfg.ListOpt(
        "secrets",
        default=[],
        secret=True,
        help="The secrets under which the database keeps the guests' keys; `coffer guests new-secret` makes one. The "
        "first one is used from now on, the others still open what was kept before. Needed where RPC is on "
        "RabbitMQ, the same for every service.",
    ),
    cfg.StrOpt(
        "broker_management_url",
        secret=True,
        help="RabbitMQ's management API, https://USER:PASSWORD@HOST:15671, of a user with the tag `administrator`: "
        "gives each guest an account of its own at the broker. Not set: all of them use ours.",
    ),
    cfg.StrOpt(
        "broker_management_ca_file",
        help="The certificates by which that API is known; the default is what the system trusts.",
    ),
)

ENGINES = (
    cfg.ListOpt(
        "bin_dirs",
        default=[],
        help="Directories with server programs, searched before the embedded ones (/usr/lib/postgresql/15/bin).",
    ),
    cfg.StrOpt(
        "initialising_account", default="nobody", help="The account that writes a server's first files."
    ),
)

UPGRADE_LEVELS = tuple(
    cfg.StrOpt(
        name,
        regex=r"1\.\d{1,4}",
        help=f"While versions are mixed: the version of the oldest {who} that may be asked (docs/upgrading.md). "
        "Not set: all are as new as this service.",
    )
    for name, who in (
        ("taskmanager", "taskmanager"),
        ("conductor", "conductor"),
        ("guestagent", "guest agent"),
    )
)

GROUPS: tuple[tuple[str | None, Sequence[cfg.Opt]], ...] = (
    (None, DEFAULT),
    (None, QUOTAS),
    (None, PERIODIC),
    ("database", DATABASE),
    ("collector", COLLECTOR),
    ("api", API),
    ("local_cloud", LOCAL_CLOUD),
    ("upgrade_levels", UPGRADE_LEVELS),
    ("backups", BACKUPS),
    ("guests", GUESTS),
    ("engines", ENGINES),
)


class SettingsError(Exception):
    """The configuration cannot be used; a sentence for the operator."""


def load(config_files: Sequence[Path], *, defaults: dict[str, Any] | None = None) -> cfg.ConfigOpts:
    """Read `config_files`, later ones win; `defaults` are this process's own for options of the group DEFAULT.

    Raises:
        SettingsError: if a file cannot be read or a value does not fit.
    """
    conf = cfg.ConfigOpts()
    log.register_options(conf)
    log.set_defaults(default_log_levels=[*log.get_default_log_levels(), *messaging.QUIET_LOG_LEVELS])
    messaging.register(conf)
    for group, options in GROUPS:
        conf.register_opts(options, group=group)
    for name, value in (defaults or {}).items():
        conf.set_default(name, value)
    try:
        conf(
            [],
            project="coffer",
            default_config_files=[str(path) for path in config_files],
            default_config_dirs=[],
        )
        _look_at_all(conf)
    except (cfg.Error, ValueError) as error:
        raise SettingsError(str(error)) from error
    return conf


def _look_at_all(conf: cfg.ConfigOpts) -> None:
    """Read every option of our own: oslo.config checks a value when it is asked for, which may be hours later.

    Raises:
        ValueError: if a value does not fit.
    """
    for group, options in (*GROUPS, (None, messaging.OPTIONS)):
        values = conf if group is None else conf[group]
        for option in options:
            values[option.dest]


def database_url(config_files: Sequence[Path]) -> str:
    """Return the URL of the control plane's database.

    Raises:
        SettingsError: if the files do not name one.
    """
    return required(load(config_files), "database", "connection")


@contextmanager
def understood(option: str) -> Iterator[None]:
    """Name the option whose value is used in the block, if it turns out that nobody can use it.

    Raises:
        SettingsError: for a ValueError in the block, whose text says what is wrong.
    """
    try:
        yield
    except ValueError as error:
        raise SettingsError(f"the option {option} cannot be used: {error}") from error


def required(conf: cfg.ConfigOpts, group: str, name: str) -> str:
    """Return an option that a separate service cannot do without.

    Raises:
        SettingsError: if it is not set.
    """
    value = conf[group][name]
    if not value:
        raise SettingsError(f"the option {name} of the group [{group}] must be set in a --config-file")
    return str(value)
