"""The result as a person reads it: on the terminal, and as docs/performance.md with its pictures."""

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measuring import Picture, Result, Row

DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- written by `make bench`: begin -->", "<!-- written by `make bench`: end -->"


def print_rows(rows: Sequence[Row]) -> None:
    """Print one line a row."""
    for row in rows:
        print(
            f"  {'met    ' if row.is_met else 'NOT met'} {_figure(row):>10} {row.goal!s:>10}  {row.topic}: {row.name}"
        )
        print(f"{'':32}{_spread(row)} {row.behind}", flush=True)


def figures(results: Sequence[Result]) -> list[dict[str, object]]:
    """Return everything as plain data."""
    return [
        {
            "topic": row.topic,
            "name": row.name,
            "goal": str(row.goal),
            "figure": row.figure,
            "spread": row.spread,
            "behind": row.behind,
            "met": row.is_met,
        }
        for result in results
        for row in result.rows
    ]


def write(results: Sequence[Result]) -> None:
    """Replace the measured part of docs/performance.md and draw the pictures."""
    document = DOCS / "performance.md"
    before, _, rest = document.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = [row for result in results for row in result.rows]
    notes = [note for result in results for note in result.notes]
    document.write_text(before + BEGIN + "\n\n" + _measured(rows, notes) + "\n" + END + after)
    _draw_ratios(rows, DOCS / "performance.svg")
    for picture in (result.picture for result in results if result.picture):
        _draw_histogram(picture, DOCS / "performance-latency.svg")


def _measured(rows: Sequence[Row], notes: Sequence[str]) -> str:
    missed = [row for row in rows if not row.is_met]
    lines = [machine(), "", f"{len(rows) - len(missed)} of {len(rows)} goals are met.", ""]
    for topic in dict.fromkeys(row.topic for row in rows):
        lines += [
            f"### {topic}",
            "",
            "| | goal | measured | spread of rounds | behind it | |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {row.name} | {row.goal} | **{_figure(row)}** | {_spread(row)} | {row.behind} | "
            f"{'met' if row.is_met else '**not met**'} |"
            for row in rows
            if row.topic == topic
        ]
        lines.append("")
    lines += [f"- {note}" for note in notes]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Say where and when this was measured."""
    cpus = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpus)
    memory_kib = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1])  # type: ignore[index]
    load = os.getloadavg()[2]
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {os.cpu_count()} processors "
        f"{model[1] if model else ''}, "
        f"{memory_kib >> 20} GiB, Linux {platform.release()[:6]}, Python {platform.python_version()}, "
        f"RabbitMQ {_rabbitmq()}; load of the last 15 minutes {load:.1f}."
    )


def _rabbitmq() -> str:
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f=${Version}", "rabbitmq-server"], capture_output=True, text=True, check=False
    )
    return asked.stdout.partition("-")[0] or "of this machine"


def _figure(row: Row) -> str:
    digits = 3 if row.figure < 0.2 else 2 if row.figure < 10 else 0
    return f"{row.figure:,.{digits}f} {row.goal.unit}"


def _spread(row: Row) -> str:
    if row.spread is None:
        return ""
    digits = 3 if row.figure < 0.2 else 2 if row.figure < 10 else 0
    low, high = row.spread
    return f"{low:,.{digits}f} … {high:,.{digits}f}"


def _draw_ratios(rows: Sequence[Row], file: Path) -> None:
    """Draw how far each figure is from its goal, on a logarithmic scale: right of the line is better than wanted."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    names = [f"{row.topic.split(',')[0]} · {row.name}" for row in rows]
    gains = [
        row.figure / row.goal.limit if row.goal.at_least else row.goal.limit / row.figure for row in rows
    ]
    mpl.rcParams["svg.hashsalt"] = "coffer"
    figure, axes = plt.subplots(figsize=(13, 0.34 * len(rows) + 1.2), layout="constrained")
    axes.barh(
        names, [gain - 1 for gain in gains], left=1, color=["#4a7" if row.is_met else "#c55" for row in rows]
    )
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.set_xlabel("times better than the goal (left of 1: not met)")
    for place, (row, gain) in enumerate(zip(rows, gains, strict=True)):
        axes.text(max(gain, 1) * 1.03, place, f"{_figure(row)} (goal {row.goal})", va="center", fontsize=7)
    axes.tick_params(axis="y", labelsize=7)
    axes.set_xlim(right=max(*gains, 2) * 4)
    figure.savefig(file, metadata={"Date": None})


def _draw_histogram(picture: Picture, file: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "coffer"
    figure, axes = plt.subplots(figsize=(9, 3.2), layout="constrained")
    for name, values in picture.values_ms.items():
        axes.hist(values, bins=60, alpha=0.6, label=name)
    axes.set_xlabel(picture.title)
    axes.set_ylabel("events")
    axes.legend()
    figure.savefig(file, metadata={"Date": None})
