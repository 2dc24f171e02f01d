"""Our frames are those of the library: it is asked to make the same, and both are compared."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import amqp
import pytest
from amqp.method_framing import frame_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.wire.amqp_frames import publication

FRAME_MAX = 4096  # the least that AMQP allows, so that bodies of several frames come up


class Written:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, frame: Any) -> None:
        self.parts.append(bytes(frame))


def by_the_library(
    body: bytes, exchange: str, routing_key: str, correlation_id: str, frame_max: int
) -> bytes:
    written = Written()
    write = frame_writer(SimpleNamespace(frame_max=frame_max, bytes_sent=0), written)
    channel = amqp.Channel.__new__(amqp.Channel)
    channel.connection = SimpleNamespace(
        transport=SimpleNamespace(connected=True, having_timeout=lambda _: nullcontext()),
        client_properties={"capabilities": {}},
        frame_writer=write,
    )
    channel.channel_id = 1
    channel.is_closing = False
    channel.confirm_publish = False
    channel._confirm_selected = True
    message = amqp.Message(
        body,
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=2,
        correlation_id=correlation_id,
    )
    amqp.Channel._basic_publish(channel, message, exchange=exchange, routing_key=routing_key, mandatory=True)
    return b"".join(written.parts)


def ours(body: bytes, exchange: str, routing_key: str, correlation_id: str, frame_max: int) -> bytes:
    return b"".join(
        publication(
            body,
            exchange=exchange,
            routing_key=routing_key,
            correlation_id=correlation_id,
            frame_max=frame_max,
        )
    )


names = st.text(max_size=255).filter(lambda text: len(text.encode()) <= 255)
sizes = st.one_of(
    st.integers(0, 64), st.integers(FRAME_MAX - 16, FRAME_MAX + 8), st.integers(0, 5 * FRAME_MAX)
)


@settings(max_examples=60)
@given(st.binary(max_size=64), sizes, names, names, names)
def test_they_say_what_the_library_says(
    beginning: bytes, size: int, exchange: str, routing_key: str, correlation_id: str
) -> None:
    body = (beginning * (size // max(len(beginning), 1) + 1))[:size]
    theirs = by_the_library(body, exchange, routing_key, correlation_id, FRAME_MAX)
    made = ours(body, exchange, routing_key, correlation_id, FRAME_MAX)
    # The library counts a message as long before its frames are full; then it cuts later than we do, or not at all.
    assert meaning(made) == meaning(theirs)


def meaning(stream: bytes) -> tuple[list[tuple[int, int, bytes]], bytes]:
    """Return method and header as they are, and the body put together; no frame may be longer than the limit."""
    heads, body, at = [], b"", 0
    while at < len(stream):
        kind, channel = stream[at], int.from_bytes(stream[at + 1 : at + 3], "big")
        size = int.from_bytes(stream[at + 3 : at + 7], "big")
        payload, end = stream[at + 7 : at + 7 + size], stream[at + 7 + size]
        assert (end, channel) == (0xCE, 1)
        assert size + 8 <= FRAME_MAX
        at += size + 8
        if kind == 3:
            body += payload
        else:
            heads.append((kind, channel, payload))
    return heads, body


@given(st.binary(max_size=3000), st.integers(0, 2**63).map(str))
def test_a_message_of_the_usual_kind_is_the_same_byte_for_byte(body: bytes, correlation_id: str) -> None:
    asked = (body, "trove", "notifications.info", correlation_id, 131072)
    assert ours(*asked) == by_the_library(*asked)


def test_a_name_that_is_too_long_is_no_message() -> None:
    with pytest.raises(ValueError, match="256"):
        ours(b"", "x" * 256, "", "", FRAME_MAX)
