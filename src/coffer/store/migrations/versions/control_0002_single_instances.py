"""Configuration groups, backups, quotas, audit windows; the sizes that a resize is to reach."""

import sqlalchemy as sa
from alembic import op

from coffer.store.types import LongText, RowNumber, UtcDateTime

revision = "control_0002"
down_revision = "control_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("instances", sa.Column("wanted_ram_mib", sa.Integer))
    op.add_column("instances", sa.Column("wanted_volume_gib", sa.Integer))
    op.add_column("instances", sa.Column("volume_used_bytes", RowNumber))
    _configurations()
    _backups()
    _quotas()
    op.create_table(
        "audit_windows",
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("window_begin", UtcDateTime, nullable=False),
        sa.Column("window_end", UtcDateTime, nullable=False),
        sa.Column("last_instance_id", sa.String(36)),
        sa.PrimaryKeyConstraint("kind", name="pk_audit_windows"),
    )


def _configurations() -> None:
    op.create_table(
        "configurations",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", LongText),
        sa.Column("datastore", sa.String(64), nullable=False),
        sa.Column("datastore_version", sa.String(64), nullable=False),
        sa.Column("parameters", LongText, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.Column("deleted_at", UtcDateTime),
        sa.PrimaryKeyConstraint("id", name="pk_configurations"),
    )
    columns = ["project_id", "created_at", "id"]
    op.create_index("ix_configurations_project_id_created_at_id", "configurations", columns)


def _backups() -> None:
    op.create_table(
        "backups",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("instance_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", LongText),
        sa.Column("parent_id", sa.String(36)),
        sa.Column("datastore", sa.String(64), nullable=False),
        sa.Column("datastore_version", sa.String(64), nullable=False),
        sa.Column("volume_gib", sa.Integer),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("location", LongText),
        sa.Column("size_bytes", RowNumber),
        sa.Column("checksum", sa.String(128)),
        sa.Column("fault_message", LongText),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.Column("deleted_at", UtcDateTime),
        sa.PrimaryKeyConstraint("id", name="pk_backups"),
    )
    op.create_index("ix_backups_project_id_created_at_id", "backups", ["project_id", "created_at", "id"])
    op.create_index("ix_backups_parent_id", "backups", ["parent_id"])


def _quotas() -> None:
    op.create_table(
        "quota_limits",
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("resource", sa.String(32), nullable=False),
        sa.Column("limit", sa.Integer, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "resource", name="pk_quota_limits"),
    )
    op.create_table(
        "quota_projects",
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("touched_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("project_id", name="pk_quota_projects"),
    )
