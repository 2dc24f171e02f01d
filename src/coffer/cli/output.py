"""How the commands print: tables for people, JSON for machines, and nothing that could steer a terminal."""

import io
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_OF_A_FILE = 200
"""Columns when the table goes to no terminal and COLUMNS does not say otherwise."""

_GAP = 2
"""Blanks between two columns."""
_NARROWEST = 8


class Fit(StrEnum):
    """What happens to a text that is wider than its column."""

    WHOLE = "whole"
    """The column is as wide as its widest text, whatever becomes of the others."""
    CUT = "cut"
    """It ends in an ellipsis."""
    FOLDED = "folded"
    """It goes on in the next line."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    fit: Fit = Fit.WHOLE
    is_number: bool = False


def printable(text: str) -> str:
    r"""`text` with everything that is not a letter, digit, sign or blank spelled out, such as `\x1b`.

    Names come from tenants. Escape sequences would let them repaint an operator's screen, and marks of
    writing direction would let them reorder it.
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def print_json(value: object) -> None:
    """Print `value` indented, in ASCII."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=True))


def print_table(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], *, styles: Iterable[str] | None = None
) -> None:
    """Print a table as wide as the terminal; `styles` has rich's word for the colour of each row."""
    cells = [[printable(cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for column, wide in zip(columns, _widths(columns, cells, width()), strict=True):
        table.add_column(
            column.title,
            width=wide,
            no_wrap=column.fit is not Fit.FOLDED,
            overflow="fold" if column.fit is Fit.FOLDED else "ellipsis",
            justify="right" if column.is_number else "left",
        )
    row_styles = iter(styles or ())
    for row in cells:
        # Text, not str: rich would read "[red]" in a name as an order.
        table.add_row(*(Text(cell) for cell in row), style=next(row_styles, None))
    click.echo(_rendered(table), nl=False)


def _widths(columns: Sequence[Column], cells: Sequence[Sequence[str]], total: int) -> list[int]:
    """How wide each column becomes: the whole ones as they need it, the others share what is left.

    rich on its own would shrink all of them, down to ids of which nothing is left to read.
    """
    widest = [
        max(cell_len(text) for text in (column.title, *(row[number] for row in cells)))
        for number, column in enumerate(columns)
    ]
    left = total - _GAP * (len(columns) - 1)
    left -= sum(wide for column, wide in zip(columns, widest, strict=True) if column.fit is Fit.WHOLE)
    result = list(widest)
    flexible = sorted(
        (number for number, column in enumerate(columns) if column.fit is not Fit.WHOLE),
        key=widest.__getitem__,
    )
    for place, number in enumerate(flexible):
        share = max(_NARROWEST, left // (len(flexible) - place))
        result[number] = min(widest[number], share)
        left -= result[number]
    return result


def _rendered(table: Table) -> str:
    text = io.StringIO()
    is_terminal = sys.stdout.isatty()
    console = Console(
        file=text,
        width=width(),
        force_terminal=is_terminal,
        no_color=not is_terminal or "NO_COLOR" in os.environ,
    )
    console.print(table)
    # rich fills each line up; who copies or compares lines wants none of that.
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def width() -> int:
    """The columns to fill."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return shutil.get_terminal_size((WIDTH_OF_A_FILE, 24)).columns
    return WIDTH_OF_A_FILE


def iso(moment: datetime) -> str:
    """A moment for machines: ISO 8601, UTC, microseconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def clock_time(moment: datetime) -> str:
    """A moment for people: UTC to the millisecond."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def span(seconds: float) -> str:
    """A span of time for people: `42 s`, `3 min`, `2.5 h`, `4.0 d`."""
    if seconds < 100:  # noqa: PLR2004 - where the next unit reads better
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 72 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} d"
