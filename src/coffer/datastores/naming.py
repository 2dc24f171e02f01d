"""What every engine refuses in a name, as pure functions; each engine's folder adds its own rules."""

import unicodedata

_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters (NUL among them), halves of surrogate pairs, line and paragraph separators."""


def text_problem(text: str, *, limit_bytes: int) -> str | None:
    """Return what is wrong with a text that is to become a name or a password on a server, or None."""
    if not text:
        return "is empty"
    if any(unicodedata.category(char) in _REFUSED_CATEGORIES for char in text):
        return "holds a control character"
    if len(text.encode()) > limit_bytes:
        return f"is longer than {limit_bytes} bytes"
    return None


def name_problem(name: str, *, limit_bytes: int) -> str | None:
    """Return what is wrong with a name on any server, or None."""
    problem = text_problem(name, limit_bytes=limit_bytes)
    if problem is None and name != name.strip():
        return "begins or ends with a space"
    return problem
