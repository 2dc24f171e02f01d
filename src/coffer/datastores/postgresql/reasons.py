"""Makes a short sentence for the tenant from what PostgreSQL's programs print when they fail; pure."""

import re
from typing import Final

from coffer.catalogue.masking import mask_secrets
from coffer.datastores.driver import Place

_LIMIT: Final = 300
_NO_SPACE: Final = ("No space left on device", "Check free disk space", "Disk quota exceeded")
"""A write that was cut short, "wrote only 4096 of 8192 bytes", has only the hint in the middle."""
_COMPLAINT: Final = re.compile(r"\b(?:FATAL|PANIC|ERROR|error|fatal):\s+(.+)")


def reason_from(output: str, place: Place) -> str:
    """Return why a program failed: the causes we know in our words, else its own last complaint."""
    if "Address already in use" in output:
        return f"port {place.port} of {place.address} is taken by another process"
    if any(said in output for said in _NO_SPACE):
        return "no space is left on the device"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    complaints = [found[1] for line in lines if (found := _COMPLAINT.search(line))]
    said = (complaints or lines or ["it did not say why"])[-1]
    return readable(said, place)


def readable(text: str, place: Place) -> str:
    """Return one line without secrets, control characters and the path of the instance, of bounded length."""
    line = mask_secrets(text).replace(str(place.directory), "…")
    line = "".join(char if char.isprintable() else " " for char in line).rstrip(". ")
    return line if len(line) <= _LIMIT else line[: _LIMIT - 1] + "…"
