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


def markdown(results: Sequence[Result]) -> str:
    """Return the table of several experiments, its columns in line."""
    rows = [list(HEADS), *map(cells, results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def document(results: Sequence[Result], left_out: Mapping[str, str]) -> str:
    """Return docs/faults.md."""
    faults = "\n".join(f"| {each.fault.name} | {each.fault.sentence} |" for each in results)
    missing = "".join(f"\nNot made on that machine: {name}: {why}.\n" for name, why in left_out.items())
    text = Path(__file__).with_name("document.md").read_text()
    return text.format(table=markdown(results), faults=faults, missing=missing)
