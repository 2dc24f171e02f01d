"""`python -m benchmarks`: measures everything, prints the table; with `--write` into docs/performance.md.

Needs RabbitMQ's server and a PostgreSQL binary, which it starts privately, wrk, and upstream Trove in .venv-peer.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import action, announcing, api, backlog, exists, latency, relaying, trouble
from benchmarks.lab import Lab, laboratory
from benchmarks.measuring import Result
from benchmarks.report import figures, print_rows, write

BENCHES: Mapping[str, tuple[Callable[[Lab, int], Result], int]] = {
    "announcing": (announcing.measure, 9),
    "trouble": (trouble.measure, 9),
    "relaying": (relaying.measure, 7),
    "backlog": (backlog.measure, 5),
    "latency": (latency.measure, 1),
    "exists": (exists.audit, 1),
    "api": (api.measure, 5),
    "action": (action.measure, 9),
}
"""What is measured, and in how many rounds."""


def main(arguments: Sequence[str]) -> int:
    """Measure, print, perhaps write; 1 if a goal is not met."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("benches", nargs="*", help=f"which of: {', '.join(BENCHES)} (default: all)")
    parser.add_argument("--rounds", type=int, help="rounds of each, in place of its own number")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md and its pictures")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args(arguments)
    results = []
    began_s = time.monotonic()
    with laboratory() as lab:
        for name in asked.benches or BENCHES:
            bench, rounds = BENCHES[name]
            print(f"{time.monotonic() - began_s:5.0f} s  {name}", file=sys.stderr, flush=True)
            with lab.stack:
                results.append(bench(lab, asked.rounds or rounds))
            print_rows(results[-1].rows)
    if asked.json:
        asked.json.write_text(json.dumps(figures(results), indent=2) + "\n")
    if asked.write:
        write(results)
    print(f"{time.monotonic() - began_s:5.0f} s  done", file=sys.stderr)
    return 0 if all(row.is_met for result in results for row in result.rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
