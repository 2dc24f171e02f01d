"""Decides what stands in a server's configuration files, from its size and address; pure.

Order of force, weakest first: `postgresql.conf` (written here), `conf.d/*.conf` (room for configuration
groups), `postgresql.auto.conf` (a tenant's ALTER SYSTEM), the command line (`pinned_settings`), which no
tenant can change.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coffer.datastores.postgresql.rules import ADMIN, MAINTENANCE_DATABASE, REPLICAS

_FIRST_WITH_WAL_SUMMARIES: Final = 17
FIRST_WITH_RESERVED_CONNECTIONS: Final = 16
_KIB_PER_MIB: Final = 1024
_MIB_PER_GIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """How a server divides the memory of its flavor."""

    shared_buffers_mib: int
    effective_cache_size_mib: int
    maintenance_work_mem_mib: int
    work_mem_kib: int
    max_connections: int


def memory_for(ram_mib: int) -> Memory:
    """Divide the memory of a flavor.

    A quarter is the server's own cache; three quarters is what it may expect the kernel and itself to cache.
    A session costs about 8 MiB; a quarter of the memory is shared by the sorts of all sessions.
    """
    max_connections = _between(20, ram_mib // 8, 500)
    return Memory(
        shared_buffers_mib=max(8, ram_mib // 4),
        effective_cache_size_mib=max(8, ram_mib * 3 // 4),
        maintenance_work_mem_mib=_between(8, ram_mib // 16, 2048),
        work_mem_kib=_between(1024, ram_mib * _KIB_PER_MIB // 4 // max_connections, 64 * _KIB_PER_MIB),
        max_connections=max_connections,
    )


def server_settings(*, version: str, ram_mib: int, volume_gib: int | None) -> dict[str, str]:
    """Return the settings of `postgresql.conf`, in the server's own words."""
    memory = memory_for(ram_mib)
    volume_mib = (volume_gib or 1) * _MIB_PER_GIB
    found = {
        "shared_buffers": f"{memory.shared_buffers_mib}MB",
        "effective_cache_size": f"{memory.effective_cache_size_mib}MB",
        "maintenance_work_mem": f"{memory.maintenance_work_mem_mib}MB",
        "work_mem": f"{memory.work_mem_kib}kB",
        "max_connections": str(memory.max_connections),
        # Shared memory as files of the data directory: nothing is left in /dev/shm after a kill.
        "dynamic_shared_memory_type": "mmap",
        "password_encryption": "scram-sha-256",
        "wal_level": "replica",
        "wal_log_hints": "on",
        "max_wal_senders": "16",
        "max_replication_slots": "11",
        # What a replica that does not come back can keep of the log, until it is lost for it.
        "max_slot_wal_keep_size": f"{volume_mib // 4}MB",
        "wal_retrieve_retry_interval": "2s",
        "max_logical_replication_workers": "0",
        "autovacuum_max_workers": "2",
        "min_wal_size": "32MB",
        "max_wal_size": f"{_between(128, volume_mib // 8, 4096)}MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        # A statement can hold a password in clear; a log outlives the session.
        "log_statement": "none",
        "log_min_error_statement": "panic",
        "log_min_duration_statement": "-1",
    }
    if int(version) >= _FIRST_WITH_WAL_SUMMARIES:
        found["summarize_wal"] = "on"
    if int(version) >= FIRST_WITH_RESERVED_CONNECTIONS:
        # Of replicas, which ask their source, before they follow it, when its tenant's clients have taken the others.
        found["reserved_connections"] = "3"
    return found


def pinned_settings(*, conf_dir: Path, address: str, port: int) -> dict[str, str]:
    """Return what goes on the command line: where the server listens and which files decide who may enter."""
    return {
        "config_file": str(conf_dir / "postgresql.conf"),
        "hba_file": str(conf_dir / "pg_hba.conf"),
        "ident_file": str(conf_dir / "pg_ident.conf"),
        "listen_addresses": address,
        "port": str(port),
        "unix_socket_directories": "",
        "logging_collector": "off",
        "log_destination": "stderr",
    }


def postgresql_conf(settings: Mapping[str, str]) -> str:
    """Return the text of `postgresql.conf`."""
    lines = ["# Written by coffer at every start; changes are lost.", *postgresql_lines(settings)]
    lines += ["include_dir = 'conf.d'", ""]
    return "\n".join(lines)


def postgresql_lines(settings: Mapping[str, str]) -> list[str]:
    """Return settings as lines of a configuration file."""
    return [f"{name} = '{escaped(value)}'" for name, value in settings.items()]


def kept_log_mib(volume_gib: int | None) -> int:
    """Return how much of the log a replica keeps for its siblings, who may follow it one day and be behind it."""
    return _between(64, (volume_gib or 1) * _MIB_PER_GIB // 16, 1024)


def pg_hba_conf(address: str) -> str:
    """Return the text of `pg_hba.conf`: a password, always; whoever is not the tenant only from this machine."""
    is_local = ipaddress.ip_address(address).is_loopback
    peers = ("127.0.0.0/8", "::1/128") if is_local else ("0.0.0.0/0", "::/0")
    lines = [
        "# Written by coffer at every start; changes are lost.",
        f"host  all  {ADMIN}  samehost  scram-sha-256",
        f"host  replication  {ADMIN}  samehost  scram-sha-256",
        f"host  all  {ADMIN}  all  reject",
        # Replicas live on this very machine, like all instances; a database is for those that have to be rewound.
        f"host  replication  +{REPLICAS}  samehost  scram-sha-256",
        f"host  {MAINTENANCE_DATABASE}  +{REPLICAS}  samehost  scram-sha-256",
        f"host  all  +{REPLICAS}  all  reject",
        *(f"host  all  all  {peer}  scram-sha-256" for peer in peers),
        "",
    ]
    return "\n".join(lines)


def escaped(value: str) -> str:
    """Return a value as it stands between the quotes of a configuration file."""
    return value.replace("\\", "\\\\").replace("'", "''")


def _between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))
