"""Decides whether a server can go on where another one's log has got to; pure.

Each promotion begins a new timeline, a branch of the log. Where the branches of a server came from its history says.
"""

from dataclasses import dataclass

from coffer.datastores.postgresql.controldata import lsn_number


@dataclass(frozen=True, slots=True)
class Position:
    """How far a log goes, on which of its branches; whatever lies before `end` is there."""

    timeline: int
    end: int


def has_diverged(own: Position, source: Position, history: str) -> bool:
    """Return whether a log has something that is not in the source's.

    `history` is the source's history file, empty for the first timeline.

    Raises:
        ValueError: it is no history.
    """
    if own.timeline == source.timeline:
        return own.end > source.end
    left_at = branches(history).get(own.timeline)
    return left_at is None or own.end > left_at


def branches(history: str) -> dict[int, int]:
    """Return where a server's log left each of its earlier timelines.

    Raises:
        ValueError: it is no history.
    """
    rows = [
        line.split() for line in history.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    try:
        return {int(row[0]): lsn_number(row[1]) for row in rows}
    except IndexError as error:
        raise ValueError("no history of timelines") from error
