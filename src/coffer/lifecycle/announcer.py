"""Turns what happened into rows of the outbox: the event's id, time and bytes are made here, once (G3)."""

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from coffer.catalogue.events import EVENTS, Event
from coffer.lifecycle.emitter import Emitter
from coffer.lifecycle.payloads import Value, checked
from coffer.store import outbox
from coffer.store.database import Tx
from coffer.store.outbox import OutboxRow
from coffer.wire.envelope import Notification, seal
from coffer.wire.json import JSON

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Announcement:
    """One event to be: its type, its facts by payload field, and the context it goes out with."""

    event_type: str
    values: Mapping[str, Value]
    context: Mapping[str, JSON]
    run_id: str | None = None


class Announcer:
    """Writes events into the transaction of the change that they announce (G1)."""

    def __init__(
        self,
        emitter: Emitter,
        *,
        new_id: Callable[[], uuid.UUID] = uuid.uuid4,
        event_types: Mapping[str, str] | None = None,
    ) -> None:
        """Speak as `emitter`; `event_types` renames events for consumers of an older name (`quota_event_type`)."""
        self.emitter = emitter
        self._new_id = new_id
        self._event_types = event_types or {}

    def announce(self, tx: Tx, announcements: Sequence[Announcement], now: datetime) -> None:
        """Append one row an announcement, in order. Never raises for a strange value; the log has it."""
        outbox.append(tx, self.sealed(announcements, now))

    def sealed(self, announcements: Sequence[Announcement], now: datetime) -> list[OutboxRow]:
        """Return the rows to append; for those who prepare many before their transaction begins."""
        return [self._row(each, EVENTS[each.event_type], now) for each in announcements]

    def _row(self, announcement: Announcement, event: Event, now: datetime) -> OutboxRow:
        payload = checked(event, announcement.values)
        for problem in payload.problems:
            LOG.error("payload is not as declared problem=%r run_id=%s", problem, announcement.run_id)
        event_type = self._event_types.get(event.event_type, event.event_type)
        message_id = self._new_id()
        body = seal(
            Notification(
                message_id=str(message_id),
                unique_id=message_id.hex,
                event_type=event_type,
                severity=event.severity,
                publisher_id=self.emitter.publisher_id,
                timestamp=now,
                payload=payload.values,
                context=announcement.context,
            )
        )
        return OutboxRow(
            run_id=announcement.run_id,
            event_type=event_type,
            severity=event.severity,
            created_at=now,
            body=body,
        )
