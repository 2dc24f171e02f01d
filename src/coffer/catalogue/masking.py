"""Takes secrets out of text that other people's programs wrote: logs, reasons, traces.

It is the last net, not the first: our own code never puts a secret into a text. So it masks rather too much
than too little, never raises, and takes time linear in the text.
"""

import re
from typing import Final

MASK: Final = "***"

_WORD = (
    r"(?:passw(?:or)?d|passphrase|passwort|pass(?=[\"'\s]{0,3}[=:])|pwd|secret|token"
    r"|(?:api|private|access)[_-]?key|credentials?|identified\s{1,4}by)"
)
_QUOTED = r"""'(?:[^'\\]|''|\\.)*(?:'|\Z)|"(?:[^"\\]|""|\\.)*(?:"|\Z)"""

_RULES: Final = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement)
    for pattern, replacement in (
        # HTTP headers: the scheme (Basic, Bearer) stays, it helps and tells nothing.
        (
            r"(\bauthorization[\"']?\s{0,4}[=:]\s{0,4}[\"']?)((?:basic|bearer|digest)\s{1,4})?[^\s\"']+",
            rf"\1\2{MASK}",
        ),
        # SQL writes the literal behind the word: PASSWORD 'it''s'.
        (rf"({_WORD}\s{{1,8}})(?:{_QUOTED})", rf"\1{MASK}"),
        # Configuration files, JSON, dict reprs, query strings, command lines: key and value.
        (rf"({_WORD}[\w.-]{{0,40}}[\"']?\s{{0,8}}(?:=>|[=:])\s{{0,8}})(?:{_QUOTED}|\S+)", rf"\1{MASK}"),
        # scheme://user:secret@host
        (r"(\b[a-z][a-z0-9+.-]{0,30}://[^\s/:@]{0,200}:)[^\s/]{1,500}@", rf"\1{MASK}@"),
        # What PostgreSQL stores of a password, and Fernet tokens, need no word before them.
        (r"SCRAM-SHA-256\$[\w+/=:$]{1,400}", MASK),
        (r"\bmd5[0-9a-f]{32}\b", MASK),
        (r"\bgAAAA[\w=-]{20,2000}", MASK),
    )
)


def mask_secrets(text: str) -> str:
    """Return `text` with every secret it seems to hold replaced by `***`; idempotent."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
