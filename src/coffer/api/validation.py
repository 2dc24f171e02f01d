"""From the bytes of a body to one of the types of `bodies`, or to a sentence about what is wrong. Pure."""

import re
import unicodedata
from collections.abc import Iterable, Sized
from typing import TypeVar

import msgspec

from coffer.api.secret import Secret
from coffer.catalogue.errors import BadRequest

Body = TypeVar("Body", bound=msgspec.Struct)

ITEMS_PER_CALL = 200
"""Each item of a call is a run; they all begin in one transaction, for which every other call waits on SQLite."""

_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, halves of surrogate pairs, separators of lines and paragraphs."""
_COMPLAINT = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<where>.*)`)?", re.DOTALL)


def read_body(raw: bytes, kind: type[Body]) -> Body:
    """Return the body as a `kind`.

    Raises:
        BadRequest: if it is no JSON, or JSON of another shape; the sentence quotes no value of the body.
    """
    if not raw.strip():
        raise BadRequest(reason="The request needs a body: a JSON object.")
    try:
        return msgspec.json.decode(raw, type=kind, dec_hook=_special)
    except msgspec.ValidationError as error:
        raise BadRequest(reason=_sentence(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest(reason="The body is not valid JSON in UTF-8.") from None
    except RecursionError:
        raise BadRequest(reason="The body is nested too deeply.") from None


def only_member(raw: bytes, *path: str) -> str | None:
    """Return the name of the single member of a JSON object, None if the body is anything else.

    The object is the body itself, or what is found in it on `path`.
    """
    try:
        members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        for name in path:
            members = msgspec.json.decode(members[name], type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return next(iter(members)) if len(members) == 1 else None


def no_duplicates(names: Iterable[str], what: str) -> None:
    """Refuse a call that names the same thing twice.

    Raises:
        BadRequest: with the name.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BadRequest(reason=f"The {what} {name} is named twice in one call.")
        seen.add(name)


def require_count(items: Sized, where: str) -> None:
    """Refuse a call that asks for nothing, or for more than one transaction should hold.

    Raises:
        BadRequest: naming the list.
    """
    if not 1 <= len(items) <= ITEMS_PER_CALL:
        raise BadRequest(reason=f"{where}: must have 1 to {ITEMS_PER_CALL} items, not {len(items)}.")


def require(problem: str | None, where: str) -> None:
    """Refuse what has a `problem` (a sentence without the field).

    Raises:
        BadRequest: naming the field.
    """
    if problem is not None:
        raise BadRequest(reason=f"{where}: {problem}.")


def label_problem(text: str, *, limit: int = 255) -> str | None:
    """Say what is wrong with a name for people: it must be visible, on one line, and fit its column."""
    if not text.strip():
        return "is empty"
    if len(text) > limit:
        return f"is longer than {limit} characters"
    if any(unicodedata.category(char) in _REFUSED_CATEGORIES for char in text):
        return "holds a control character"
    return None


def _special(kind: type, value: object) -> object:
    """Make the types that msgspec does not know."""
    assert kind is Secret
    if not isinstance(value, str):
        raise TypeError("Expected `str`, got something else")  # the caller of this hook adds the path
    return Secret(value)


def _sentence(complaint: str) -> str:
    """Turn msgspec's complaint into one that starts with the field."""
    match = _COMPLAINT.fullmatch(complaint)
    assert match is not None
    what = match["what"].replace("`", "").rstrip(".")
    what = what[:1].lower() + what[1:] + "."
    return f"{match['where']}: {what}" if match["where"] else f"body: {what}"
