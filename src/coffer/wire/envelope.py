"""The bytes of a notification: oslo.messaging's format 2.0, as Ceilometer reads it.

Ids and times are arguments: they are made when an event is written, never when it is sent (G3).
It knows no transport.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from coffer.wire.json import JSON, NotJSONError, dumps, loads

ENVELOPE_VERSION = "2.0"
_VERSION_KEY = "oslo.version"
_MESSAGE_KEY = "oslo.message"
_CONTEXT_PREFIX = "_context_"
_UNIQUE_ID = "_unique_id"
_PREFIX = b'{"oslo.version":"2.0","oslo.message":'


class MalformedMessage(ValueError):  # noqa: N818 - the name that the other floors agreed on
    """The body is no notification; the reason says why, without quoting the body."""


class Notification(msgspec.Struct, frozen=True):
    """One announcement, ready to be written down.

    `unique_id` is what oslo.messaging's listeners drop duplicates by (among the last 16 they saw), `message_id` what
    consumers do; ours are the same number in two forms. `severity` is `info` or `error`. `timestamp` is aware.
    """

    message_id: str
    unique_id: str
    event_type: str
    severity: str
    publisher_id: str
    timestamp: datetime
    payload: dict[str, JSON]
    context: Mapping[str, JSON]


def seal(notification: Notification) -> bytes:
    """Return the body as it goes to the broker, and as it is stored until then."""
    message: dict[str, JSON] = {
        "message_id": notification.message_id,
        "publisher_id": notification.publisher_id,
        "event_type": notification.event_type,
        "priority": notification.severity.upper(),
        "payload": notification.payload,
        "timestamp": _time_text(notification.timestamp),
        _UNIQUE_ID: notification.unique_id,
    }
    for key, value in notification.context.items():
        message[_CONTEXT_PREFIX + key] = value
    return _PREFIX + dumps(dumps(message).decode("utf-8")) + b"}"


def unseal(body: bytes) -> Notification:
    """Read a body that came from a broker.

    Keys that it does not know are skipped.

    Raises:
        MalformedMessage: if it is no notification of format 2.x.
    """
    message = open_envelope(body)
    context = {
        key.removeprefix(_CONTEXT_PREFIX): value
        for key, value in message.items()
        if key.startswith(_CONTEXT_PREFIX)
    }
    payload = message.get("payload")
    if not isinstance(payload, dict):
        raise MalformedMessage("payload is not an object")
    return Notification(
        message_id=_text(message, "message_id"),
        unique_id=str(message.get(_UNIQUE_ID) or ""),
        event_type=_text(message, "event_type"),
        severity=_text(message, "priority").lower(),
        publisher_id=_text(message, "publisher_id"),
        timestamp=_time(_text(message, "timestamp")),
        payload=payload,
        context=context,
    )


def open_envelope(body: bytes) -> dict[str, JSON]:
    """Return the message inside the envelope, as oslo.messaging's drivers see it.

    Raises:
        MalformedMessage: if there is none.
    """
    envelope = _object(body, "body")
    version, inner = envelope.get(_VERSION_KEY), envelope.get(_MESSAGE_KEY)
    if not isinstance(version, str) or not version.startswith("2."):
        raise MalformedMessage(f"{_VERSION_KEY} is not {ENVELOPE_VERSION}")
    if not isinstance(inner, str):
        raise MalformedMessage(f"{_MESSAGE_KEY} is not text")
    return _object(inner, _MESSAGE_KEY)


def envelope_of(body: bytes) -> dict[str, JSON]:
    """Return the outer envelope of a sealed body, the message inside still closed.

    Raises:
        MalformedMessage: if it is none.
    """
    return _object(body, "body")


def _object(source: bytes | str, name: str) -> dict[str, JSON]:
    try:
        value = loads(source)
    except NotJSONError as error:
        raise MalformedMessage(f"{name} is not JSON") from error
    if not isinstance(value, dict):
        raise MalformedMessage(f"{name} is not an object")
    return value


def _text(message: dict[str, JSON], key: str) -> str:
    value = message.get(key)
    if not isinstance(value, str) or not value:
        raise MalformedMessage(f"{key} is not text")
    return value


def _time_text(moment: datetime) -> str:
    """Return the form that oslo.messaging writes: UTC, without saying so."""
    return moment.astimezone(UTC).isoformat(sep=" ", timespec="microseconds").removesuffix("+00:00")


def _time(value: str) -> datetime:
    try:
        read = datetime.fromisoformat(value)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        # OverflowError: the first and the last day of the calendar, in a zone that leads out of it.
        raise MalformedMessage("timestamp is not a time") from error
