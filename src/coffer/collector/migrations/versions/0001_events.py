"""The events and the dead letters."""

import sqlalchemy as sa
from alembic import op

from coffer.collector.database import LongBytes, LongText, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _id() -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("id", kind, primary_key=True, autoincrement=True)


def _key(name: str, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.String(255), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "events",
        _id(),
        _key("message_id", nullable=False),
        _key("event_type", nullable=False),
        _key("severity", nullable=False),
        _key("publisher_id", nullable=False),
        sa.Column("timestamp", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        _key("tenant_id"),
        _key("request_id"),
        _key("run_id"),
        _key("instance_id"),
        sa.Column("payload", LongText, nullable=False),
        sa.UniqueConstraint("message_id", name="uq_events_message_id"),
        sqlite_autoincrement=True,
    )
    for columns in (
        ("timestamp",),
        ("tenant_id", "timestamp"),
        ("request_id",),
        ("run_id",),
        ("event_type", "timestamp"),
    ):
        op.create_index(f"ix_events_{'_'.join(columns)}", "events", columns)
    op.create_table(
        "dead_letters",
        _id(),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("reason", LongText, nullable=False),
        sa.Column("body", LongBytes, nullable=False),
        sqlite_autoincrement=True,
    )
