"""The laboratory's table, for people and for the document."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.laboratory.experiment import Result

HEADS = (
    *("fault", "load", "runs", "failed", "events", "repeated", "lost", "doubled", "out of order", "unended"),
    *("untrue times", "longest API stall", "drained"),
)


def cells(result: Result) -> list[str]:
    """Return the row of one experiment."""
    verdict = result.verdict
    numbers = (
        *(verdict.runs, verdict.failed, verdict.events, verdict.repeated, verdict.lost, verdict.doubled),
        *(verdict.out_of_order, verdict.unended, verdict.untrue),
    )
    return [
        result.fault.name,
        result.load,
        *map(str, numbers),
        f"{result.stall_s:.1f} s",
        f"{result.drained_s:.1f} s",
    ]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table of rows, its columns in line."""
    all_rows = [HEADS, *rows]
    widths = [max(len(row[column]) for row in all_rows) for column in range(len(HEADS))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in all_rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def rows_of(document: str) -> dict[str, list[str]]:
    """Read the rows of an earlier document, by the fault's name."""
    found = {}
    for line in document.splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(row) == len(HEADS) and set(line) - set("|-"):
            found[row[0]] = row
    found.pop(HEADS[0], None)
    return found


def document(
    rows: Mapping[str, Sequence[str]], sentences: Mapping[str, str], left_out: Mapping[str, str]
) -> str:
    """Return docs/faults.md; `rows`, `sentences` and reasons are by the fault's name."""
    made = [rows[name] for name in sentences if name in rows]
    faults = "\n".join(f"| {name} | {sentence} |" for name, sentence in sentences.items())
    missing = "".join(f"\nNot made on that machine: {name}: {why}.\n" for name, why in left_out.items())
    text = Path(__file__).with_name("document.md").read_text()
    return text.format(table=markdown(made), faults=faults, missing=missing)
