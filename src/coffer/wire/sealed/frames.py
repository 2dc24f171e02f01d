"""The form of a message between control plane and guest: an open part that says whose it is, and a sealed one.

```
{"v": 1, "to": "guest" | "control", "instance_id", "key_id", "number", "nonce", "box"}    bytes in base64
```

In the box is a request or an answer (see `Request`, `Answer`). The box opens only beside the same open part, so that
nothing can be turned round to its sender, moved to another instance, or given another number. Decoding is strict: a
frame has these fields with these types, and no others.
"""

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import msgspec

from coffer.wire.json import NotJSONError, dumps, loads
from coffer.wire.sealed import box
from coffer.wire.sealed.book import Outgoing

LIMIT_BYTES: Final = 2**20
"""The longest body that is read: a thousand times a usual one."""
ANSWER_LIMIT_BYTES: Final = 4 * 2**20
"""The longest body from a guest: it may answer with a list of many thousand users."""
_HIGHEST: Final = 2**62
_MOST_TEXT: Final = 64


class Direction(StrEnum):
    """Who is to read a frame."""

    GUEST = "guest"
    CONTROL = "control"


class Refusal(StrEnum):
    """Why a message is not believed."""

    TOO_LONG = "too_long"
    MALFORMED = "malformed"
    MISDIRECTED = "misdirected"
    UNKNOWN_KEY = "unknown_key"
    BROKEN_SEAL = "broken_seal"
    REPEATED = "repeated"
    TOO_MANY = "too_many"
    NOT_ALLOWED = "not_allowed"
    NOT_ITS_RUN = "not_its_run"
    UNEXPECTED = "unexpected"


class FrameRefusedError(Exception):
    """A message that is not believed; says why, and whose it claims to be, if it says that in a readable way."""

    def __init__(self, reason: Refusal, instance_id: str | None = None) -> None:
        self.reason = reason
        self.instance_id = instance_id
        super().__init__(str(reason))


_Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
_Number = Annotated[int, msgspec.Meta(ge=1, le=_HIGHEST)]


class Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The outside of a message."""

    v: Literal[1]
    to: Direction
    instance_id: _Id
    key_id: _Number
    number: _Number
    nonce: bytes
    box: bytes


class Request(msgspec.Struct, frozen=True, tag="request", tag_field="kind"):
    """Something to be done. Without `reply_to` nobody waits for the answer; `id` is the answer's then, too."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    context: dict[str, Any]
    method: Annotated[str, msgspec.Meta(max_length=_MOST_TEXT)]
    args: dict[str, Any]
    version: Annotated[str, msgspec.Meta(max_length=_MOST_TEXT)]
    reply_to: Annotated[str, msgspec.Meta(max_length=4 * _MOST_TEXT)] | None = None


class Answer(msgspec.Struct, frozen=True, tag="answer", tag_field="kind"):
    """What a request came to: `{"result"}` or `{"error"}`."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    reply: dict[str, Any]
    reply_to: Annotated[str, msgspec.Meta(max_length=4 * _MOST_TEXT)] | None = None


Inner = Request | Answer


def seal(to: Direction, instance_id: str, outgoing: Outgoing, inner: Inner) -> bytes:
    """Return the body of a message."""
    about = _about(to, instance_id, outgoing.key_id, outgoing.number)
    nonce, sealed = box.lock(outgoing.key, dumps(msgspec.to_builtins(inner)), about)
    return msgspec.json.encode(Frame(1, to, instance_id, outgoing.key_id, outgoing.number, nonce, sealed))


def read(body: bytes, limit_bytes: int) -> Frame:
    """Read the outside of a message; nothing in it is to be believed yet.

    Raises:
        FrameRefusedError: it is too long, or no frame.
    """
    if len(body) > limit_bytes:
        raise FrameRefusedError(Refusal.TOO_LONG)
    try:
        return _FRAMES.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise FrameRefusedError(Refusal.MALFORMED) from None


def unseal(frame: Frame, key: bytes) -> Inner:
    """Return what is in a frame.

    Raises:
        FrameRefusedError: another key sealed it, something was changed, or it is neither request nor answer.
    """
    about = _about(frame.to, frame.instance_id, frame.key_id, frame.number)
    try:
        plain = box.unlock(key, frame.nonce, frame.box, about)
    except (box.SealBrokenError, ValueError):
        # ValueError: a nonce of another length.
        raise FrameRefusedError(Refusal.BROKEN_SEAL, frame.instance_id) from None
    try:
        inner: Inner = msgspec.convert(loads(plain), Inner, strict=True)
    except (msgspec.MsgspecError, NotJSONError, UnicodeError, RecursionError):
        raise FrameRefusedError(Refusal.MALFORMED, frame.instance_id) from None
    return inner


_FRAMES = msgspec.json.Decoder(Frame)


def _about(to: Direction, instance_id: str, key_id: int, number: int) -> bytes:
    """Return the canonical form of the open part. No field but the last ones can hold a separator."""
    return f"coffer sealed 1|{to.value}|{key_id}|{number}|{instance_id}".encode()
