"""`python -m benchmarks`: measures, prints a table. Needs RabbitMQ's server and a PostgreSQL binary, starts both."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tests.support.messaging import messaging_conf
from tests.support.postgresql_server import running_server
from tests.support.rabbitmq import started_node

from benchmarks.emitting import emitting
from benchmarks.measuring import Group, play
from benchmarks.peer import peers
from benchmarks.relaying import messages, relaying
from coffer.store import migrate
from coffer.store.database import Database
from coffer.wire import transport


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often everything is measured (default: 7)")
    parser.add_argument("--json", type=Path, help="write the figures of every round to this file")
    asked = parser.parse_args(arguments)
    console = Console(width=max(100, Console().width))
    with ExitStack() as stack:
        console.print("starting RabbitMQ and PostgreSQL", style="dim")
        groups = _groups(stack)
        play(groups, asked.rounds, lambda line: console.print(line, style="dim"))
    for group in groups:
        console.print(_table(group))
    console.print(
        "Medians of the rounds; a ratio is the median of the rounds' ratios. Everybody shares this machine.",
        style="dim",
    )
    if asked.json:
        asked.json.write_text(json.dumps(_figures(groups), indent=2) + "\n")
    return 0


def _groups(stack: ExitStack) -> list[Group]:
    node = stack.enter_context(started_node())
    server = stack.enter_context(running_server())
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coffer-bench-")))
    urls = {
        "SQLite": f"sqlite:///{folder / 'coffer.db'}",
        "PostgreSQL": server.url(server.create_database()),
    }
    databases: dict[str, Database] = {}
    for name, url in urls.items():
        migrate.upgrade(url)
        databases[name] = Database(url)
        stack.callback(databases[name].close)
    notifier, bare = stack.enter_context(peers(node))
    rows = messages(databases["SQLite"])
    conf = messaging_conf(node.url)
    return [
        emitting(databases, notifier, [row.body for row in rows]),
        stack.enter_context(relaying(databases, lambda: transport.publisher(conf), notifier, bare, rows)),
    ]


def _table(group: Group) -> Table:
    table = Table(title=f"{group.title} ({group.unit})", title_justify="left")
    for heading in ("", "median", "lowest..highest", *(f"x {name}" for name in group.yardsticks)):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for variant in group.variants:
        low, high = variant.spread
        ratios = [f"{variant.ratio_to(each):.2f}" for each in group.yardsticks.values()]
        table.add_row(variant.name, f"{variant.median:,.0f}", f"{low:,.0f}..{high:,.0f}", *ratios)
    return table


def _figures(groups: Sequence[Group]) -> list[dict[str, object]]:
    return [
        {
            "title": group.title,
            "unit": group.unit,
            "figures": {variant.name: variant.figures for variant in group.variants},
        }
        for group in groups
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
