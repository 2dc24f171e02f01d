"""JSON as coffer writes it: fast, and never failing for a strange value.

It knows nothing of messages; it turns values into bytes and back.
"""

import json as stdlib_json
import math
from typing import cast

import msgspec

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]
"""What JSON can say. `Any` from untyped libraries stops here."""

_ENCODER = msgspec.json.Encoder(enc_hook=str)
_DECODER = msgspec.json.Decoder()


class NotJSONError(ValueError):
    """The bytes are not JSON in UTF-8."""


def dumps(value: object) -> bytes:
    """Write `value` as UTF-8 JSON.

    NaN and infinities become null, lone surrogates U+FFFD, and what JSON has no form for its text. It does
    not raise for any value that a message can carry: a business transaction must not fail because a name is
    strange.
    """
    try:
        return _ENCODER.encode(value)
    except (UnicodeEncodeError, TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        return stdlib_json.dumps(_cleaned(value), allow_nan=False, separators=(",", ":")).encode("ascii")


def loads(body: bytes | str) -> JSON:
    """Read JSON.

    Raises:
        NotJSONError: if `body` is not JSON, not UTF-8, or nested too deeply.
    """
    try:
        return cast("JSON", _DECODER.decode(body))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise NotJSONError(str(error)) from error


def _cleaned(value: object) -> JSON:
    """Return what strict JSON can hold of `value`."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_text(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(item) for item in value]
    return _text(value)


def _text(value: object) -> str:
    """Return `value` as text that UTF-8 can carry."""
    return str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
