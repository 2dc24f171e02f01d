"""Runs and the outbox."""

import sqlalchemy as sa
from alembic import op

from coffer.store.types import Envelope, LongText, RowNumber, UtcDateTime

revision = "announcing_0001"
down_revision = None
branch_labels = ("announcing",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("operation", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(255), nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(255)),
        sa.Column("instance_id", sa.String(36)),
        sa.Column("cluster_id", sa.String(36)),
        sa.Column("item", LongText),
        sa.Column("traits", LongText, nullable=False),
        sa.Column("client_ip", sa.String(255), nullable=False),
        sa.Column("previous_state", sa.String(32)),
        sa.Column("context", LongText, nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("handed_to", sa.String(36)),
        sa.Column("claimed_by", sa.String(64)),
        sa.Column("claimed_at", UtcDateTime),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("deadline_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime),
        sa.Column("ending", sa.String(16)),
        sa.Column("error_code", sa.String(64)),
        sa.Column("fault", sa.String(16)),
        sa.Column("message", LongText),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
    )
    is_open = sa.text("ended_at IS NULL")
    # MariaDB has no partial index; with the end in front the open runs stand together.
    columns = ["ended_at", "deadline_at"] if op.get_context().dialect.name == "mysql" else ["deadline_at"]
    op.create_index("ix_runs_open", "runs", columns, sqlite_where=is_open, postgresql_where=is_open)
    op.create_table(
        "outbox",
        sa.Column("id", RowNumber, autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(36)),
        sa.Column("event_type", sa.String(255), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("body", Envelope, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sqlite_autoincrement=True,
    )
