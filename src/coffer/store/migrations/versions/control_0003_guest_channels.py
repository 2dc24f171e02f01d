"""The keys and numbers of the guests' sealed channels."""

import sqlalchemy as sa
from alembic import op

from coffer.store.types import RowNumber, UtcDateTime

revision = "control_0003"
down_revision = "control_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "guest_channels",
        sa.Column("instance_id", sa.String(36), nullable=False),
        sa.Column("key_id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("wrapped_key", sa.String(255), nullable=False),
        sa.Column("sent", RowNumber, nullable=False),
        sa.Column("highest", RowNumber, nullable=False),
        sa.Column("seen", sa.String(256), nullable=False),
        sa.Column("beat", RowNumber, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("instance_id", "key_id", name="pk_guest_channels"),
    )
