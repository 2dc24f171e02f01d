"""Stored events and dead letters: how they look and how they are written (`queries` reads them)."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from coffer.collector.database import CollectorDatabaseError, Tx, dead_letters, events
from coffer.wire.json import JSON

_TRIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event as the collector keeps it."""

    id: int | None
    """Rises in the order of arrival; None before it is stored."""
    message_id: str
    event_type: str
    severity: str
    publisher_id: str
    timestamp: datetime
    """When it happened, not when it was sent."""
    received_at: datetime
    tenant_id: str | None
    request_id: str | None
    run_id: str | None
    instance_id: str | None
    payload: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be read, kept for a person to look at."""

    reason: str
    body: bytes


def insert(tx: Tx, new: Collection[StoredEvent]) -> int:
    """Store those of `new` whose message_id is not there yet; return how many these were."""
    if not new:
        return 0
    if tx.dialect.name == "mysql":
        return _insert_missing(tx, new)
    kind = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    # RETURNING and not the row count, which not every driver knows for a whole batch.
    statement = kind(events).on_conflict_do_nothing().returning(events.c.id)
    return len(tx.execute(statement, [_row(event) for event in new]).all())


def _insert_missing(tx: Tx, new: Collection[StoredEvent]) -> int:
    """Store those of `new` that are not there, where no statement does that and says how many they were."""
    first: dict[str, StoredEvent] = {}
    for event in new:
        first.setdefault(event.message_id, event)
    column = events.c.message_id
    for _ in range(_TRIES):
        known = set(tx.scalars(sa.select(column).where(column.in_(list(first)))))
        rows = [_row(event) for message_id, event in first.items() if message_id not in known]
        if not rows:
            return 0
        try:
            with tx.begin_nested():
                tx.execute(events.insert().inline(), rows)
        except sa.exc.IntegrityError:  # another collector was first, and has committed by now
            continue
        return len(rows)
    raise CollectorDatabaseError("others store the same events all the time")


def insert_dead_letters(tx: Tx, letters: Collection[DeadLetter], received_at: datetime) -> None:
    """Keep `letters`; the same one may come twice."""
    for letter in letters:
        values = {"received_at": received_at, "reason": letter.reason, "body": letter.body}
        tx.execute(dead_letters.insert().inline(), values)


def _row(event: StoredEvent) -> dict[str, Any]:
    return {
        "message_id": event.message_id,
        "event_type": event.event_type,
        "severity": event.severity,
        "publisher_id": event.publisher_id,
        "timestamp": event.timestamp,
        "received_at": event.received_at,
        "tenant_id": event.tenant_id,
        "request_id": event.request_id,
        "run_id": event.run_id,
        "instance_id": event.instance_id,
        "payload": json.dumps(event.payload, ensure_ascii=True),
    }
