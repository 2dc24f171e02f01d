"""Makes the traits `message` and `exception` of an `.error` event from an exception.

Ceilometer keeps 255 characters of a text, so the reason stands first and the innermost frame second. Source lines
and local values are left out, secrets are masked, double quotes avoided: one of the field's consumers un-escapes
them before it parses the JSON.
"""

import traceback
from pathlib import PurePath

from coffer.catalogue.errors import CofferError
from coffer.catalogue.masking import mask_secrets

MESSAGE_LIMIT = 1024
TRACE_LIMIT = 4096
"""Characters; enough for a person, too little to fill a broker."""
_FRAMES = 50


_READ_AT_MOST = 16
"""How many times its limit of a text is looked at: a stranger's may be huge."""


def visible(text: str) -> str:
    """Return `text` with a space for whatever is neither visible nor a line's end, so that it can be stored."""
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def bounded(text: str, limit: int) -> str:
    """Return `text` masked, without control characters or double quotes, cut to `limit` characters."""
    clean = visible(mask_secrets(text[: limit * _READ_AT_MOST])).replace('"', "'")
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def message_of(error: BaseException) -> str:
    """Return the sentence of the trait `message`.

    An error that is not ours may quote statements or arguments, so only its class is named.
    """
    if isinstance(error, CofferError):
        return bounded(error.message, MESSAGE_LIMIT)
    return bounded(f"{CofferError.template} ({type(error).__name__})", MESSAGE_LIMIT)


def trace_of(error: BaseException, message: str | None = None) -> str:
    """Return the trait `exception`: class and reason, `message` or else our own, then the frames, innermost first."""
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    lines = [f"{type(error).__name__}: {message or message_of(error)}"]
    lines += [
        f"  at {PurePath(code.co_filename).name}:{line} in {code.co_name}"
        for code, line in reversed(frames[-_FRAMES:])
    ]
    if error.__cause__ is not None:
        lines.append(f"caused by {type(error.__cause__).__name__}")
    return bounded("\n".join(lines), TRACE_LIMIT)
