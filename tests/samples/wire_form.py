"""The wire form of every event as text: a line an event, with the names and types of what its payload may hold.

usage: python -m tests.samples.wire_form --write      (from the root of the repository)
"""

import argparse
import sys
from pathlib import Path

from coffer.catalogue.events import EVENTS

PATH = Path(__file__).with_name("wire-form.txt")

Form = dict[str, tuple[str, dict[str, str]]]
"""By event: its severity, and the type by field of the payload. What is always there has a `!` at its type."""


def declared() -> Form:
    """Return the wire form as the catalogue declares it."""
    return {
        name: (
            str(event.severity),
            {trait.field: f"{trait.type}{'!' if trait.required else ''}" for trait in event.all_traits},
        )
        for name, event in EVENTS.items()
    }


def committed() -> Form:
    """Return the wire form as the repository has it."""
    form: Form = {}
    for line in PATH.read_text().splitlines():
        name, severity, *fields = line.split()
        form[name] = (severity, dict(field.split(":") for field in fields))
    return form


def write(form: Form) -> None:
    """Replace the form in the repository; in the order of names, so that a move in the catalogue is no change."""
    lines = []
    for name, (severity, fields) in sorted(form.items()):
        lines.append(
            " ".join([name, severity, *(f"{field}:{kind}" for field, kind in sorted(fields.items()))])
        )
    PATH.write_text("\n".join(lines) + "\n")


def main() -> int:
    """Write the file."""
    parser = argparse.ArgumentParser(prog="python -m tests.samples.wire_form")
    parser.add_argument("--write", action="store_true", required=True, help="replace the committed form")
    parser.parse_args()
    write(declared())
    return 0


if __name__ == "__main__":
    sys.exit(main())
