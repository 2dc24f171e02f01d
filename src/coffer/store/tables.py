"""The tables: what they are, as the code sees them; how they came to be is told by the migrations.

Two families that do not refer to each other. "control" is what the control plane knows of the world;
"announcing" is what it has told, or has yet to tell, about it. The specification leaves the tables of the
first alone, so the second has a migration branch of its own.
"""

from sqlalchemy import Column, Index, Integer, MetaData, String, Table

from coffer.store.types import Envelope, LongText, RowNumber, UtcDateTime, Word

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

# --- control --------------------------------------------------------------------------------------

INSTANCES = Table(
    "instances",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("user_id", String(255)),
    Column("name", String(255), nullable=False),
    Column("datastore", Word(64), nullable=False),
    Column("datastore_version", String(64), nullable=False),
    Column("flavor_id", String(64), nullable=False),
    Column("flavor_name", String(255), nullable=False),
    Column("ram_mib", Integer, nullable=False),
    Column("volume_gib", Integer),
    Column("availability_zone", String(255)),
    Column("region", String(255)),
    Column("state", Word(32), nullable=False),
    Column("service_status", Word(32), nullable=False),
    Column("service_seen_at", UtcDateTime),
    Column("fault_code", Word(64)),
    Column("fault_message", LongText),
    Column("fault_at", UtcDateTime),
    Column("host", String(255)),
    Column("port", Integer),
    Column("server_id", String(255)),
    Column("volume_id", String(255)),
    Column("cluster_id", String(36)),
    Column("replica_of", String(36)),
    Column("configuration_id", String(36)),
    Column("wanted_ram_mib", Integer),
    Column("wanted_volume_gib", Integer),
    Column("volume_used_bytes", RowNumber),
    Column("root_enabled_at", UtcDateTime),
    Column("launched_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    Index("ix_instances_project_id_created_at_id", "project_id", "created_at", "id"),
)

SERVICES = Table(
    "services",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("kind", Word(32), nullable=False),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("trouble", LongText),
)

LEASES = Table(
    "leases",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("holder", String(255), nullable=False),
    Column("acquired_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

CONFIGURATIONS = Table(
    "configurations",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("description", LongText),
    Column("datastore", Word(64), nullable=False),
    Column("datastore_version", String(64), nullable=False),
    Column("parameters", LongText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    Index("ix_configurations_project_id_created_at_id", "project_id", "created_at", "id"),
)

BACKUPS = Table(
    "backups",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("instance_id", String(36), nullable=False),
    Column("name", String(255), nullable=False),
    Column("description", LongText),
    Column("parent_id", String(36)),
    Column("datastore", Word(64), nullable=False),
    Column("datastore_version", String(64), nullable=False),
    Column("volume_gib", Integer),
    Column("state", Word(32), nullable=False),
    Column("location", LongText),
    Column("size_bytes", RowNumber),
    Column("checksum", String(128)),
    Column("fault_message", LongText),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    Index("ix_backups_project_id_created_at_id", "project_id", "created_at", "id"),
    Index("ix_backups_parent_id", "parent_id"),
)

QUOTA_LIMITS = Table(
    "quota_limits",
    METADATA,
    Column("project_id", String(255), primary_key=True),
    Column("resource", Word(32), primary_key=True),
    Column("limit", Integer, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

QUOTA_PROJECTS = Table(
    "quota_projects",
    METADATA,
    Column("project_id", String(255), primary_key=True),
    Column("touched_at", UtcDateTime, nullable=False),
)
# One row a project, written by whoever allocates for it: so that two who allocate at once go one after the other.

AUDIT_WINDOWS = Table(
    "audit_windows",
    METADATA,
    Column("kind", Word(32), primary_key=True),
    Column("window_begin", UtcDateTime, nullable=False),
    Column("window_end", UtcDateTime, nullable=False),
    Column("last_instance_id", String(36)),
)
# One row a kind: the window that is being announced, and how far it has come.

GUEST_CHANNELS = Table(
    "guest_channels",
    METADATA,
    Column("instance_id", String(36), primary_key=True),
    Column("key_id", Integer, primary_key=True, autoincrement=False),
    Column("wrapped_key", String(255), nullable=False),
    Column("sent", RowNumber, nullable=False),
    Column("highest", RowNumber, nullable=False),
    Column("seen", String(256), nullable=False),
    Column("beat", RowNumber, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)
# One row a key; an instance has two while its key is being changed. `sent` is the last number that we gave away,
# `highest` and `seen` are the window of those that came in, `beat` is the number of the last sign of life.

# --- announcing -----------------------------------------------------------------------------------

RUNS = Table(
    "runs",
    METADATA,
    Column("run_id", String(36), primary_key=True),
    Column("operation", Word(64), nullable=False),
    Column("request_id", String(255), nullable=False),
    Column("project_id", String(255), nullable=False),
    Column("user_id", String(255)),
    Column("instance_id", String(36)),
    Column("cluster_id", String(36)),
    Column("item", LongText),
    Column("traits", LongText, nullable=False),
    Column("client_ip", String(255), nullable=False),
    Column("previous_state", Word(32)),
    Column("context", LongText, nullable=False),
    Column("owner", String(64), nullable=False),
    Column("handed_to", String(36)),
    Column("claimed_by", String(64)),
    Column("claimed_at", UtcDateTime),
    Column("started_at", UtcDateTime, nullable=False),
    Column("deadline_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("ending", Word(16)),
    Column("error_code", Word(64)),
    Column("fault", Word(16)),
    Column("message", LongText),
)
Index(
    "ix_runs_open",
    RUNS.c.deadline_at,
    sqlite_where=RUNS.c.ended_at.is_(None),
    postgresql_where=RUNS.c.ended_at.is_(None),
)
# Open runs are few and asked for every second; ended ones are many and asked for by id. MariaDB, which has no partial
# index, has the same name for one of (ended_at, deadline_at).

OUTBOX = Table(
    "outbox",
    METADATA,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("run_id", String(36)),
    Column("event_type", String(255), nullable=False),
    Column("severity", Word(16), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("body", Envelope, nullable=False),
    # Without it SQLite gives the number of a deleted last row again, and a relay that deletes "its" number
    # late would delete a message that was never sent.
    sqlite_autoincrement=True,
)
