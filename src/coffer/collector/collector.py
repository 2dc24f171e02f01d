"""Takes what arrives from the broker and keeps each event once."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from coffer.collector import events
from coffer.collector.database import KEY_LENGTH, Database
from coffer.collector.events import DeadLetter, StoredEvent
from coffer.wire.envelope import MalformedMessage, Notification, unseal
from coffer.wire.json import JSON

LOG = logging.getLogger(__name__)

LONGEST_BODY = 1024 * 1024
"""Bytes. Our own events stay far below; more is not an event, and only its beginning is kept."""

DEEPEST_PAYLOAD = 32
"""Levels. JSON that is nested a thousand deep can be read, and then breaks whoever writes it again."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch."""

    stored: int
    repeated: int
    """Messages that were there already."""
    unreadable: int
    """Messages that went to the dead letters."""


class Collector:
    """Stores events; used by one consumer at a time."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def receive(self, bodies: Sequence[bytes]) -> None:
        """Store `bodies`; for consumers and publishers, who only need to know that it is done."""
        self.store(bodies)

    def store(self, bodies: Sequence[bytes]) -> Receipt:
        """Store `bodies` in one transaction; after the return they may be acknowledged.

        A body that cannot be read is kept as a dead letter and does not hurt the others. If the database
        fails, the exception travels on, nothing is stored, and the broker delivers all of them again.
        """
        received_at = self._clock()
        readable: list[StoredEvent] = []
        letters: list[DeadLetter] = []
        for body in bodies:
            result = _read(body, received_at)
            if isinstance(result, StoredEvent):
                readable.append(result)
            else:
                letters.append(result)
        with self._database.writing() as tx:
            stored = events.insert(tx, readable)
            events.insert_dead_letters(tx, letters, received_at)
        for letter in letters:
            LOG.error(
                "message cannot be read, kept as a dead letter bytes=%d reason=%s",
                len(letter.body),
                letter.reason,
            )
        return Receipt(stored=stored, repeated=len(readable) - stored, unreadable=len(letters))


def _read(body: bytes, received_at: datetime) -> StoredEvent | DeadLetter:
    if len(body) > LONGEST_BODY:
        return DeadLetter(
            f"{len(body)} bytes are more than {LONGEST_BODY}; the rest is cut off", body[:LONGEST_BODY]
        )
    try:
        notification = unseal(body)
    except MalformedMessage as error:
        return DeadLetter(str(error), body)
    # These two say which event it is, so a shortened or mended one would be another event.
    for key in (notification.message_id, notification.event_type):
        if not key or key != _fit(key):
            return DeadLetter(
                f"message_id or event_type is empty, too long or not storable: {key[:KEY_LENGTH]!r}", body
            )
    if _is_deeper(notification.payload, DEEPEST_PAYLOAD):
        return DeadLetter(f"the payload is nested more than {DEEPEST_PAYLOAD} levels deep", body)
    return _event(notification, received_at)


def _is_deeper(value: JSON, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return bool(inner) and (levels == 0 or any(_is_deeper(each, levels - 1) for each in inner))


def _event(notification: Notification, received_at: datetime) -> StoredEvent:
    payload, context = notification.payload, notification.context
    return StoredEvent(
        id=None,
        message_id=notification.message_id,
        event_type=notification.event_type,
        severity=_fit(notification.severity).lower(),
        publisher_id=_fit(notification.publisher_id),
        timestamp=notification.timestamp,
        received_at=received_at,
        tenant_id=_first(payload.get("tenant_id"), context.get("project_id")),
        request_id=_first(payload.get("request_id"), context.get("request_id")),
        run_id=_first(payload.get("run_id")),
        instance_id=_first(payload.get("instance_id")),
        payload=payload,
    )


def _first(*values: object) -> str | None:
    """The first that is a text, in a form that every database can keep in an indexed column."""
    return next((_fit(value) for value in values if isinstance(value, str) and value), None)


def _fit(text: str) -> str:
    """Without NUL, which PostgreSQL does not store, and not longer than the column."""
    return text.replace("\x00", "")[:KEY_LENGTH]
