"""What time it is where the database is."""

from datetime import UTC, datetime

import sqlalchemy as sa

from coffer.store.database import Tx

_QUERIES = {
    "postgresql": sa.text("select clock_timestamp()"),
    "mysql": sa.text("select utc_timestamp(6)"),
    "mariadb": sa.text("select utc_timestamp(6)"),
}


def now(tx: Tx) -> datetime | None:
    """Return the database's time; None for one without a clock of its own, which runs in this process."""
    query = _QUERIES.get(tx.dialect.name)
    if query is None:
        return None
    told: datetime = tx.execute(query).scalar_one()
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
