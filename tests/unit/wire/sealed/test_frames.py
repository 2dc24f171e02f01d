"""What a frame says is what was sealed, for whom it was sealed, or it is refused."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.wire.sealed import box, frames
from coffer.wire.sealed.book import Outgoing
from coffer.wire.sealed.frames import Answer, Direction, Frame, FrameRefusedError, Refusal, Request

KEY = bytes(range(32))
OUTGOING = Outgoing(key_id=3, key=KEY, number=17)
REQUEST = Request(
    id="0" * 32, context={"request_id": "req-1"}, method="prepare", args={"users": []}, version="1.0"
)


def sealed(inner: Request | Answer = REQUEST, **changes: Any) -> dict[str, Any]:
    body = frames.seal(Direction.GUEST, "i1", OUTGOING, inner)
    found: dict[str, Any] = {**json.loads(body), **changes}
    return found


def opened(body: bytes, key: bytes = KEY) -> Request | Answer:
    return frames.unseal(frames.read(body, frames.LIMIT_BYTES), key)


def refusal(body: bytes, key: bytes = KEY) -> Refusal:
    with pytest.raises(FrameRefusedError) as caught:
        opened(body, key)
    return caught.value.reason


@pytest.mark.parametrize(
    "inner", [REQUEST, Answer(id="f" * 32, reply={"result": [1, "zwölf"]}, reply_to="q")]
)
def test_what_was_sealed_is_opened(inner: Request | Answer) -> None:
    body = frames.seal(Direction.GUEST, "i1", OUTGOING, inner)
    frame = frames.read(body, frames.LIMIT_BYTES)
    assert (frame.to, frame.instance_id, frame.key_id, frame.number) == ("guest", "i1", 3, 17)
    assert frames.unseal(frame, KEY) == inner


def test_nothing_of_what_is_sealed_can_be_read_and_no_two_are_alike() -> None:
    secret = replace_args(REQUEST, {"password": "wonder land"})
    bodies = {frames.seal(Direction.GUEST, "i1", OUTGOING, secret) for _ in range(20)}
    assert len(bodies) == 20
    assert not any(b"wonder" in body or b"prepare" in body for body in bodies)


def replace_args(request: Request, args: dict[str, Any]) -> Request:
    return Request(
        id=request.id, context=request.context, method=request.method, args=args, version=request.version
    )


def test_every_bit_that_is_turned_round_breaks_the_seal() -> None:
    whole = sealed()
    for name in ("nonce", "box"):
        content = base64.b64decode(whole[name])
        for bit in range(8 * len(content)):
            changed = bytearray(content)
            changed[bit // 8] ^= 1 << bit % 8
            body = json.dumps({**whole, name: base64.b64encode(changed).decode()}).encode()
            assert refusal(body) is Refusal.BROKEN_SEAL, (name, bit)


@pytest.mark.parametrize(
    "change",
    [{"to": "control"}, {"instance_id": "i2"}, {"key_id": 4}, {"number": 18}, {"nonce": ""}, {"box": ""}],
    ids=str,
)
def test_the_open_part_is_sealed_with_the_rest(change: dict[str, Any]) -> None:
    assert refusal(json.dumps(sealed(**change)).encode()) is Refusal.BROKEN_SEAL


def test_another_key_opens_nothing() -> None:
    assert refusal(json.dumps(sealed()).encode(), bytes(32)) is Refusal.BROKEN_SEAL


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": "1"},
        {"to": "everybody"},
        {"instance_id": ""},
        {"instance_id": "../i1"},
        {"instance_id": "i1\n"},
        {"instance_id": "i" * 65},
        {"instance_id": None},
        {"key_id": 0},
        {"key_id": "3"},
        {"key_id": 2**63},
        {"number": 0},
        {"number": 1.5},
        {"number": True},
        {"number": 10**400},
        {"nonce": "no base64"},
        {"nonce": None},
        {"box": [1]},
        {"extra": 1},
    ],
    ids=lambda change: str(change)[:40],
)
def test_a_frame_has_its_fields_and_no_others(change: dict[str, Any]) -> None:
    assert refusal(json.dumps(sealed(**change)).encode()) is Refusal.MALFORMED


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b"[" * 100_000, b"\xff\xfe", b'{"oslo.version": "2.0"}', b'"\\ud800"']
)
def test_what_is_no_frame_is_malformed(body: bytes) -> None:
    assert refusal(body) is Refusal.MALFORMED


def test_what_is_too_long_is_not_even_read() -> None:
    assert refusal(b"[" * (frames.LIMIT_BYTES + 1)) is Refusal.TOO_LONG


@pytest.mark.parametrize(
    "inner",
    [
        b"",
        b"null",
        b"[" * 100_000,
        b'{"kind": "request"}',
        b'{"kind": "order", "id": "' + b"0" * 32 + b'", "reply": {}}',
        b'{"kind": "answer", "id": "short", "reply": {}}',
        b'{"kind": "answer", "id": "' + b"0" * 32 + b'", "reply": []}',
        b'{"kind": "answer", "id": "' + b"0" * 32 + b'", "reply": {}, "reply_to": 1}',
    ],
    ids=lambda inner: inner[:30].decode(),
)
def test_what_a_key_has_opened_is_decoded_as_strictly(inner: bytes) -> None:
    about = frames._about(Direction.CONTROL, "i1", 3, 17)
    nonce, content = box.lock(KEY, inner, about)
    frame = Frame(1, Direction.CONTROL, "i1", 3, 17, nonce, content)
    with pytest.raises(FrameRefusedError) as caught:
        frames.unseal(frame, KEY)
    assert caught.value.reason is Refusal.MALFORMED


@given(st.binary(max_size=300))
def test_whatever_comes_is_refused_and_breaks_nothing(body: bytes) -> None:
    with pytest.raises(FrameRefusedError):
        frames.read(body, frames.LIMIT_BYTES)


def test_strange_texts_do_not_keep_a_message_from_being_sent() -> None:
    strange = replace_args(REQUEST, {"name": "\ud800", "n": float("nan")})
    assert opened(frames.seal(Direction.GUEST, "i1", replace(OUTGOING), strange))
