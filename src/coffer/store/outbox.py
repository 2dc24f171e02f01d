"""The outbox: finished messages, written with the change they announce, deleted once the broker has them.

Rows are numbered in the order of writing. Transactions that overlap may commit in another order than that
of their numbers, but those of one run never overlap: its start is committed before anybody can end it.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from coffer.store.database import Tx
from coffer.store.insertion import Insertion
from coffer.store.tables import OUTBOX

_CHUNK = 500
"""Ids a statement; old builds of SQLite take 999 variables."""

_COLUMN = OUTBOX.c
# Where a snapshot ends (`xmax`) is right behind the last transaction that has ended; others that have begun later may
# write already. How many have, `age` tells: it counts to the next transaction that will begin.
_HORIZON = sa.text(
    "SELECT s.oldest, s.ended + age((s.ended % 4294967296)::text::xid) AS next"
    " FROM (SELECT pg_snapshot_xmin(c)::text::bigint AS oldest, pg_snapshot_xmax(c)::text::bigint AS ended"
    " FROM pg_current_snapshot() AS c) AS s"
)
# Told to delete what is in a list, MariaDB may read all of a small table, and wait for every row that somebody is just
# about to commit. So it goes through the list, and finds each row by its number.
_DELETE_MYSQL = sa.text(
    "DELETE outbox FROM JSON_TABLE(:ids, '$[*]' COLUMNS (number BIGINT PATH '$')) AS listed"
    " STRAIGHT_JOIN outbox ON outbox.id = listed.number"
)
_HEAD = sa.select(_COLUMN.id, _COLUMN.run_id, _COLUMN.severity, _COLUMN.body).order_by(_COLUMN.id)


class OutboxRow(NamedTuple):
    """A message to be written; `body` holds its id and time already."""

    run_id: str | None
    event_type: str
    severity: str
    created_at: datetime
    body: bytes


class Pending(NamedTuple):
    """A message that waits for the broker."""

    id: int
    run_id: str | None
    severity: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far a snapshot sees: everything of the transactions before `oldest`, nothing of those from `next` on."""

    oldest: int
    next: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many messages wait, and since when the oldest does."""

    count: int
    oldest_created_at: datetime | None


_ALL = Horizon(oldest=0, next=0)


_INSERTION = Insertion(OUTBOX, OutboxRow._fields, large="body")


def append(tx: Tx, rows: Sequence[OutboxRow]) -> None:
    """Write messages, in their order.

    Whether this transaction itself sees them is left open: PostgreSQL gets them with the commit, which then says what
    is wrong with them.
    """
    if rows:
        _INSERTION.write(tx, rows)


def head(tx: Tx, limit: int, *, after: int = 0, excluding: Collection[int] = ()) -> list[Pending]:
    """Return the oldest messages in order, except those up to number `after` and those in `excluding`.

    With `after`, PostgreSQL looks past what was deleted but is still seen by an old snapshot. Messages that are
    committed late may stand before it (`coffer.relay.cursor`).
    """
    query = _HEAD.where(_COLUMN.id > after).limit(limit)
    if excluding:
        # Written into the statement: SQLite and PostgreSQL bound how many variables one may have.
        numbers: sa.BindParameter[list[int]] = sa.bindparam(
            "excluding", sorted(excluding), expanding=True, literal_execute=True
        )
        query = query.where(_COLUMN.id.not_in(numbers))
    return [Pending(*row) for row in tx.execute(query)]


def horizon(tx: Tx) -> Horizon | None:
    """Return how far the snapshot of `tx` can see; None where the database does not tell."""
    if tx.dialect.name == "sqlite":
        return _ALL  # there is one writer: numbers are committed in their order
    if tx.dialect.name == "postgresql":
        row = tx.execute(_HORIZON).one()
        return Horizon(oldest=row.oldest, next=row.next)
    return None


def delete(tx: Tx, ids: Collection[int]) -> int:
    """Delete these messages and no others; returns how many there were."""
    numbers = sorted(ids)
    deleted = 0
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        if tx.dialect.name == "mysql":
            deleted += tx.execute(_DELETE_MYSQL, {"ids": json.dumps(chunk)}).rowcount
        else:
            deleted += tx.execute(sa.delete(OUTBOX).where(_COLUMN.id.in_(chunk))).rowcount
    return deleted


def backlog(tx: Tx) -> Backlog:
    """Return how much waits for the broker."""
    count = tx.scalar(sa.select(sa.func.count()).select_from(OUTBOX)) or 0
    oldest = tx.scalar(sa.select(_COLUMN.created_at).order_by(_COLUMN.id).limit(1))
    return Backlog(count=count, oldest_created_at=oldest)


def holds_more_than(tx: Tx, count: int) -> bool:
    """Return whether more than `count` messages wait, without counting them all."""
    return tx.scalar(sa.select(_COLUMN.id).order_by(_COLUMN.id).limit(1).offset(count)) is not None
