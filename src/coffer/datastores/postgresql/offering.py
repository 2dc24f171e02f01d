"""Which of PostgreSQL's parameters a configuration group may hold, derived from what the server itself says; pure.

Not offered is what would reach beyond the tenant's own data and speed: programs and libraries to run, files to read or
write, where the server listens and whom it believes, what replication and backups stand on, what makes a crash lose
data, and what writes statements, which may hold passwords, into a log. A text parameter must be named here to be
offered; so one that a new version brings waits until somebody has looked at it.
"""

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coffer.datastores.parameters import Kind, Parameter

_KINDS: Final[Mapping[str, Kind]] = {
    "bool": Kind.BOOLEAN,
    "integer": Kind.INTEGER,
    "real": Kind.FLOAT,
    "enum": Kind.STRING,
    "string": Kind.STRING,
}
_CONTEXTS: Final = frozenset({"user", "superuser", "superuser-backend", "backend", "sighup", "postmaster"})

_CATEGORIES_APART: Final = (
    "Connections and Authentication / Authentication",
    "Connections and Authentication / SSL",
    "Client Connection Defaults / Shared Library Preloading",
    "Customized Options",
    "Developer Options",
    "Error Handling",
    "File Locations",
    "Preset Options",
    "Replication / Subscribers",
    "Reporting and Logging / When to Log",
    "Reporting and Logging / Where to Log",
    "Write-Ahead Log / Archive Recovery",
    "Write-Ahead Log / Archiving",
    "Write-Ahead Log / Recovery",
    "Write-Ahead Log / Recovery Target",
    "Write-Ahead Log / Summarization",
)
_NAMES_APART: Final = frozenset(
    {
        # Who may connect, and how we do.
        *("bonjour", "event_triggers", "port", "reserved_connections", "superuser_reserved_connections"),
        "transaction_timeout",  # a short one ends every session, ours too, while it logs in
        *("unix_socket_permissions", "allow_alter_system", "lo_compat_privileges"),
        # Ours: the volume's limit, replication, backups.
        *(
            "default_transaction_read_only",
            "hot_standby",
            "idle_replication_slot_timeout",
            "max_slot_wal_keep_size",
            "recovery_min_apply_delay",
            "sync_replication_slots",
        ),
        *("wal_log_hints", "wal_receiver_create_temp_slot", "session_replication_role"),
        # What a crash would make of the data.
        *("fsync", "full_page_writes", "wal_sync_method"),
        # What this machine may not have: then the server does not start.
        *(
            "dynamic_shared_memory_type",
            "huge_pages",
            "huge_page_size",
            "io_method",
            "min_dynamic_shared_memory",
        ),
        "shared_memory_type",
        # Statements in a log.
        *("debug_pretty_print", "debug_print_parse", "debug_print_plan", "debug_print_raw_parse"),
        *("debug_print_rewritten", "log_duration", "log_parameter_max_length", "log_statement"),
        *("log_executor_stats", "log_parameter_max_length_on_error", "log_parser_stats", "log_planner_stats"),
        "log_statement_stats",
        # Belong to one transaction; no file can set them.
        *("transaction_deferrable", "transaction_isolation", "transaction_read_only"),
    }
)
_TEXTS: Final = frozenset(
    {
        *(
            "DateStyle",
            "TimeZone",
            "createrole_self_grant",
            "default_table_access_method",
            "default_tablespace",
        ),
        *(
            "default_text_search_config",
            "lc_monetary",
            "lc_numeric",
            "lc_time",
            "log_timezone",
            "search_path",
        ),
        *("restrict_nonsystem_relation_kind", "temp_tablespaces"),
    }
)
_AT_LEAST: Final[Mapping[str, int]] = {
    # Fewer, and the server does not start, or we cannot reach it.
    "max_connections": 10,
    "max_files_per_process": 256,
    "max_wal_size": 32,
    "min_wal_size": 32,
    # Replicas and backups need them.
    "max_replication_slots": 11,
    "max_wal_senders": 16,
}
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {"wal_level": ("replica", "logical")}

DATA_DIR: Final = Path(__file__).with_name("parameters")
"""A file a major version, written by `scripts/postgresql_parameters.py`."""

COLUMNS: Final = ("name", "vartype", "unit", "context", "category", "min_val", "max_val", "enumvals")
QUERY: Final = f"select {', '.join(COLUMNS)} from pg_settings order by lower(name)"  # noqa: S608 — ours


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the server's `pg_settings`."""

    name: str
    vartype: str
    unit: str | None
    context: str
    category: str
    min_val: str | None
    max_val: str | None
    enumvals: list[str] | None


@functools.cache
def parameters_of(version: str) -> Mapping[str, Parameter]:
    """Return what a group for a major version may hold, from the committed files; nothing for an unknown version."""
    path = DATA_DIR / f"{version}.json"
    if not path.is_file():
        return {}
    found = json.loads(path.read_bytes())
    return {name: from_json(name, row) for name, row in found.items()}


def offered(settings: Iterable[Setting]) -> dict[str, Parameter]:
    """Return the parameters that a group may hold, by the server's own spelling of their names."""
    return {each.name: _parameter(each) for each in settings if _is_offered(each)}


def to_json(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter as the committed files have it; what does not apply is absent."""
    row = {
        "type": parameter.kind.value,
        "unit": parameter.unit,
        "min": parameter.minimum,
        "max": parameter.maximum,
        "choices": list(parameter.choices) or None,
        "restart_required": parameter.restart_required,
    }
    return {key: value for key, value in row.items() if value is not None}


def from_json(name: str, row: Mapping[str, Any]) -> Parameter:
    """Read a parameter of a committed file."""
    return Parameter(
        name=name,
        kind=Kind(row["type"]),
        restart_required=row["restart_required"],
        unit=row.get("unit"),
        minimum=row.get("min"),
        maximum=row.get("max"),
        choices=tuple(row.get("choices", ())),
    )


def _is_offered(setting: Setting) -> bool:
    if setting.context not in _CONTEXTS or "." in setting.name or setting.name in _NAMES_APART:
        return False
    if setting.category in _CATEGORIES_APART:
        return False
    return setting.vartype != "string" or setting.name in _TEXTS


def _parameter(setting: Setting) -> Parameter:
    kind = _KINDS[setting.vartype]
    minimum, maximum = (_bound(kind, each) for each in (setting.min_val, setting.max_val))
    if minimum is not None:
        minimum = max(minimum, _AT_LEAST.get(setting.name, minimum))
    return Parameter(
        name=setting.name,
        kind=kind,
        restart_required=setting.context == "postmaster",
        unit=setting.unit,
        minimum=minimum,
        maximum=maximum,
        choices=_CHOICES.get(setting.name, tuple(each.lower() for each in setting.enumvals or ())),
    )


def _bound(kind: Kind, text: str | None) -> float | None:
    if text is None:
        return None
    return int(text) if kind is Kind.INTEGER else float(text)
