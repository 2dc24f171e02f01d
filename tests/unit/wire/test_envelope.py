"""The bytes that Ceilometer reads."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from coffer.wire.envelope import MalformedMessage, Notification, seal, unseal
from coffer.wire.json import JSON

PROPER = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | PROPER
)

NOTIFICATION = Notification(
    message_id="5d6b6a3e-6a0e-4a38-9f3c-0c9a2c3f9b1e",
    unique_id="0123456789abcdef0123456789abcdef",
    event_type="dbaas.user_create.error",
    severity="error",
    publisher_id="api.host",
    timestamp=datetime(2026, 11, 22, 8, 0, 0, 5, tzinfo=UTC),
    payload={"username": "o'hara", "duration_s": 0.5},
    context={"request_id": "req-1", "user_id": "u1"},
)


def test_a_sealed_message_has_the_form_of_oslo_messaging() -> None:
    envelope = json.loads(seal(NOTIFICATION))

    assert envelope.keys() == {"oslo.version", "oslo.message"}
    assert envelope["oslo.version"] == "2.0"
    assert json.loads(envelope["oslo.message"]) == {
        "message_id": NOTIFICATION.message_id,
        "publisher_id": "api.host",
        "event_type": "dbaas.user_create.error",
        "priority": "ERROR",
        "payload": {"username": "o'hara", "duration_s": 0.5},
        "timestamp": "2026-11-22 08:00:00.000005",
        "_unique_id": NOTIFICATION.unique_id,
        "_context_request_id": "req-1",
        "_context_user_id": "u1",
    }


def test_sealing_twice_gives_the_same_bytes() -> None:
    assert seal(NOTIFICATION) == seal(NOTIFICATION)


def test_a_time_of_another_zone_goes_out_in_utc() -> None:
    there = NOTIFICATION.timestamp.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert seal(replace(NOTIFICATION, timestamp=there)) == seal(NOTIFICATION)


@given(
    payload=st.dictionaries(PROPER, VALUES, max_size=6),
    context=st.dictionaries(PROPER, VALUES, max_size=6),
    timestamp=st.datetimes(timezones=st.just(UTC)),
)
def test_unsealing_gives_back_what_was_sealed(
    payload: dict[str, JSON], context: dict[str, JSON], timestamp: datetime
) -> None:
    made = replace(NOTIFICATION, payload=payload, context=context, timestamp=timestamp)

    assert unseal(seal(made)) == made


@pytest.mark.parametrize("text", ["\ud800", "\x00", "☃" * 300, "'; DROP TABLE runs; --"])
def test_a_strange_name_never_fails_the_sealing(text: str) -> None:
    read = unseal(seal(replace(NOTIFICATION, payload={"name": text}, context={"user": text})))

    assert read.payload["name"] == text.replace("\ud800", "\ufffd")


def _envelope(message: object, version: object = "2.0") -> bytes:
    inner = message if isinstance(message, str) else json.dumps(message)
    return json.dumps({"oslo.version": version, "oslo.message": inner}).encode()


def _message(**changes: object) -> dict[str, object]:
    message: dict[str, object] = json.loads(json.loads(seal(NOTIFICATION))["oslo.message"])
    return {key: value for key, value in {**message, **changes}.items() if value is not ...}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"oslo.message": "{}"}',
        b'{"oslo.version": 2, "oslo.message": "{}"}',
        b'{"oslo.version": "2.0", "oslo.message": {}}',
        _envelope({"a": 1}, version="1.0"),
        _envelope("not json"),
        _envelope("[]"),
        _envelope(_message(message_id=...)),
        _envelope(_message(message_id="")),
        _envelope(_message(message_id=7)),
        _envelope(_message(event_type=None)),
        _envelope(_message(priority=[])),
        _envelope(_message(payload="text")),
        _envelope(_message(payload=...)),
        _envelope(_message(timestamp="yesterday")),
        _envelope(_message(timestamp=1_700_000_000)),
    ],
)
def test_what_is_no_notification_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        unseal(body)


@given(st.binary(max_size=200))
def test_random_bytes_are_malformed_and_nothing_worse(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        unseal(body)


def test_the_reason_does_not_quote_the_body() -> None:
    with pytest.raises(MalformedMessage) as refused:
        unseal(b'{"password": "hunter2"')

    assert "hunter2" not in str(refused.value)


def test_unknown_keys_are_skipped() -> None:
    assert unseal(_envelope(_message(colour="blue"))) == NOTIFICATION
