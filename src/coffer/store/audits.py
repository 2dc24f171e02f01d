"""How far the announcing of audit windows has come; one row a kind, moved on by compare-and-set."""

from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from coffer.store.database import Tx
from coffer.store.deferred import savepoint
from coffer.store.tables import AUDIT_WINDOWS

_COLUMN = AUDIT_WINDOWS.c


@dataclass(frozen=True, slots=True)
class Audit:
    """The window that is announced next, and the last instance of it that is; None if none is yet."""

    kind: str
    window_begin: datetime
    window_end: datetime
    last_instance_id: str | None = None


def get(tx: Tx, kind: str) -> Audit | None:
    """Return where the audit stands; None before its first window."""
    row = tx.execute(sa.select(AUDIT_WINDOWS).where(_COLUMN.kind == kind)).mappings().one_or_none()
    return None if row is None else Audit(**row)


def start(tx: Tx, audit: Audit) -> bool:
    """Enter the first window of a kind; False if somebody was faster."""
    try:
        with savepoint(tx):
            tx.execute(sa.insert(AUDIT_WINDOWS).inline(), asdict(audit))
    except IntegrityError:
        return False
    return True


def advance(tx: Tx, seen: Audit, reached: Audit) -> bool:
    """Move on from `seen` to `reached`; False if somebody else has moved it since: then all of it is his."""
    statement = sa.update(AUDIT_WINDOWS).where(
        _COLUMN.kind == seen.kind,
        _COLUMN.window_begin == seen.window_begin,
        _COLUMN.window_end == seen.window_end,
        _COLUMN.last_instance_id.is_not_distinct_from(seen.last_instance_id),
    )
    return tx.execute(statement.values(asdict(reached))).rowcount == 1
