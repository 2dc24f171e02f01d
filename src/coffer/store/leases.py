"""Leases: who alone may do something, and until when."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from coffer.store.database import Tx
from coffer.store.deferred import savepoint
from coffer.store.tables import LEASES

_COLUMN = LEASES.c


def acquire(tx: Tx, name: str, holder: str, now: datetime, ttl_s: float) -> bool:
    """Take the lease if it is free, expired or ours already; False while it is another's.

    It is ours for `ttl_s` from `now`. The caller's clock counts, so the clocks of those who compete must agree to
    well within `ttl_s`. A lease that reaches more than twice as far was made by a clock that has been set back since,
    and is free.
    """
    expires_at = now + timedelta(seconds=ttl_s)
    renewal = sa.update(LEASES).where(_COLUMN.name == name, _COLUMN.holder == holder)
    if tx.execute(renewal.values(expires_at=expires_at)).rowcount == 1:
        return True
    values = {"holder": holder, "acquired_at": now, "expires_at": expires_at}
    is_free = sa.or_(_COLUMN.expires_at <= now, _COLUMN.expires_at > now + timedelta(seconds=2 * ttl_s))
    takeover = sa.update(LEASES).where(_COLUMN.name == name, is_free)
    if tx.execute(takeover.values(values)).rowcount == 1:
        return True
    if tx.scalar(sa.select(_COLUMN.name).where(_COLUMN.name == name)) is not None:
        return False
    try:
        with savepoint(tx):
            tx.execute(sa.insert(LEASES).inline(), {"name": name, **values})
    except IntegrityError:  # another was first, in a transaction that we could not see yet
        return False
    return True


def release(tx: Tx, name: str, holder: str) -> bool:
    """Give the lease up, so that the next need not wait; False if it was not ours."""
    statement = sa.delete(LEASES).where(_COLUMN.name == name, _COLUMN.holder == holder)
    return tx.execute(statement).rowcount == 1


def holder(tx: Tx, name: str, now: datetime) -> str | None:
    """Return who holds the lease now."""
    return tx.scalar(sa.select(_COLUMN.holder).where(_COLUMN.name == name, _COLUMN.expires_at > now))
