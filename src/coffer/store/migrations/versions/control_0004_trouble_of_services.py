"""What keeps a service from its work, said by itself."""

import sqlalchemy as sa
from alembic import op

from coffer.store.types import LongText

revision = "control_0004"
down_revision = "control_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("services", sa.Column("trouble", LongText))
