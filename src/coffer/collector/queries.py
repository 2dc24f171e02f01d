"""Questions to the stored events: which ones, and what is new."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from coffer.collector.database import Database, Tx, dead_letters, events
from coffer.collector.events import StoredEvent

PAGE = 500
POLL_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events; what is None does not matter."""

    tenant_id: str | None = None
    request_id: str | None = None
    run_id: str | None = None
    instance_id: str | None = None
    event_type: str | None = None
    """A pattern in which `*` stands for any characters and `?` for one."""
    since: datetime | None = None
    """Happened at this time or later."""
    until: datetime | None = None
    """Happened before this time."""
    after_id: int = 0
    """Arrived after the event with this id."""


def find(tx: Tx, wanted: Filter, *, limit: int | None = None) -> Iterator[StoredEvent]:
    """The first `limit` events of that kind in the order of arrival, fetched page by page while iterated."""
    query = sa.select(events).where(*_conditions(wanted)).order_by(events.c.id).limit(limit)
    for row in tx.execute(query, execution_options={"yield_per": PAGE}):
        yield _event(row)


def newest(tx: Tx, wanted: Filter, limit: int) -> list[StoredEvent]:
    """The last `limit` events of that kind, in the order of arrival."""
    query = sa.select(events).where(*_conditions(wanted)).order_by(events.c.id.desc()).limit(limit)
    return [_event(row) for row in reversed(tx.execute(query).all())]


def count(tx: Tx, wanted: Filter) -> int:
    """How many events of that kind there are."""
    query = sa.select(sa.func.count()).select_from(events).where(*_conditions(wanted))
    return tx.execute(query).scalar_one()


def last_id(tx: Tx) -> int:
    """The id of the event that arrived last; 0 when there is none."""
    return tx.execute(sa.select(sa.func.max(events.c.id))).scalar_one() or 0


def count_dead_letters(tx: Tx) -> int:
    """How many messages could not be read so far."""
    return tx.execute(sa.select(sa.func.count()).select_from(dead_letters)).scalar_one()


def watch(
    database: Database, wanted: Filter, stopping: threading.Event, *, poll_s: float = POLL_S
) -> Iterator[StoredEvent]:
    """Each event of that kind after `wanted.after_id`, once, as it arrives, until `stopping` is set.

    Relies on ids becoming visible in ascending order. That is so on SQLite, which has one writer, and
    elsewhere as long as one collector writes.
    """
    while not stopping.is_set():
        with database.reading() as tx:
            page = list(find(tx, wanted, limit=PAGE))
        for event in page:
            yield event
            wanted = replace(wanted, after_id=event.id or 0)
        if len(page) < PAGE:
            stopping.wait(poll_s)


def _conditions(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    conditions = [
        column == value
        for column, value in (
            (events.c.tenant_id, wanted.tenant_id),
            (events.c.request_id, wanted.request_id),
            (events.c.run_id, wanted.run_id),
            (events.c.instance_id, wanted.instance_id),
        )
        if value is not None
    ]
    if wanted.event_type is not None:
        conditions.append(events.c.event_type.like(_like(wanted.event_type), escape="\\"))
    if wanted.since is not None:
        conditions.append(events.c.timestamp >= wanted.since)
    if wanted.until is not None:
        conditions.append(events.c.timestamp < wanted.until)
    if wanted.after_id:
        conditions.append(events.c.id > wanted.after_id)
    return conditions


def _like(pattern: str) -> str:
    """The pattern of a person in SQL's words."""
    for special in "\\%_":
        pattern = pattern.replace(special, f"\\{special}")
    return pattern.replace("*", "%").replace("?", "_")


def _event(row: sa.Row[tuple[object, ...]]) -> StoredEvent:
    values = dict(row._mapping)  # noqa: SLF001 - the documented way in
    values["payload"] = json.loads(values["payload"])
    return StoredEvent(**values)
