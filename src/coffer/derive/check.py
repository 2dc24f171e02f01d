"""Says whether the derived documents are what the catalogue says today; `--write` makes them so.

usage: python -m coffer.derive.check [--write] [ROOT]
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from coffer.derive import markdown

DOCUMENTS: Mapping[str, Callable[[], str]] = {"docs/notifications.md": markdown.text}
"""The derived files of the repository, by their path from its root."""


def stale(root: Path) -> list[str]:
    """Return the documents under `root` that differ from their derivation, or are missing."""
    return [name for name, derive in DOCUMENTS.items() if _read(root / name) != derive()]


def write(root: Path) -> None:
    """Write every derived document under `root` anew."""
    for name, derive in DOCUMENTS.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(derive(), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or write; return the exit status, 1 if something is stale."""
    parser = argparse.ArgumentParser(
        prog="python -m coffer.derive.check", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--write", action="store_true", help="write the documents anew")
    parser.add_argument(
        "root", nargs="?", type=Path, default=Path.cwd(), help="the repository (default: here)"
    )
    options = parser.parse_args(arguments)
    if options.write:
        write(options.root)
    found = stale(options.root)
    for name in found:
        sys.stderr.write(f"{name} is not what the catalogue says; run `make docs` and commit it\n")
    return 1 if found else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
