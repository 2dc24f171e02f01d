"""Instances, services, leases."""

import sqlalchemy as sa
from alembic import op

from coffer.store.types import LongText, UtcDateTime

revision = "control_0001"
down_revision = None
branch_labels = ("control",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "instances",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(255)),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("datastore", sa.String(64), nullable=False),
        sa.Column("datastore_version", sa.String(64), nullable=False),
        sa.Column("flavor_id", sa.String(64), nullable=False),
        sa.Column("flavor_name", sa.String(255), nullable=False),
        sa.Column("ram_mib", sa.Integer, nullable=False),
        sa.Column("volume_gib", sa.Integer),
        sa.Column("availability_zone", sa.String(255)),
        sa.Column("region", sa.String(255)),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("service_status", sa.String(32), nullable=False),
        sa.Column("service_seen_at", UtcDateTime),
        sa.Column("fault_code", sa.String(64)),
        sa.Column("fault_message", LongText),
        sa.Column("fault_at", UtcDateTime),
        sa.Column("host", sa.String(255)),
        sa.Column("port", sa.Integer),
        sa.Column("server_id", sa.String(255)),
        sa.Column("volume_id", sa.String(255)),
        sa.Column("cluster_id", sa.String(36)),
        sa.Column("replica_of", sa.String(36)),
        sa.Column("configuration_id", sa.String(36)),
        sa.Column("root_enabled_at", UtcDateTime),
        sa.Column("launched_at", UtcDateTime),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.Column("deleted_at", UtcDateTime),
        sa.PrimaryKeyConstraint("id", name="pk_instances"),
    )
    op.create_index("ix_instances_project_id_created_at_id", "instances", ["project_id", "created_at", "id"])
    op.create_table(
        "services",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("seen_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_services"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("acquired_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
