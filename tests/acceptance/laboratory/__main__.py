"""Makes experiments and prints their table: `python -m tests.acceptance.laboratory [NAME…] [--write] [--list]`."""

import argparse
import signal
import sys
from pathlib import Path

from tests.support.laboratory.cable import Impossible
from tests.support.laboratory.experiment import Fault, Result, experiment
from tests.support.laboratory.faults import FAULTS
from tests.support.laboratory.site import Laboratory, laboratory
from tests.support.laboratory.table import cells, document, markdown, rows_of

DOCUMENT = Path(__file__).parents[3] / "docs" / "faults.md"


def main() -> int:
    """Make the experiments that were asked for; return how many found a flaw."""
    parser = argparse.ArgumentParser(
        prog="laboratory", description="Breaks coffer and looks what becomes of it."
    )
    parser.add_argument("names", nargs="*", help="faults; all of them if none is named")
    parser.add_argument("--clients", type=int, default=3, help="clients an instance")
    parser.add_argument("--write", action="store_true", help=f"write them into {DOCUMENT.name}")
    parser.add_argument("--list", action="store_true", help="only name the faults")
    asked = parser.parse_args()
    unknown = set(asked.names) - FAULTS.keys()
    if unknown:
        parser.error(f"there is no fault {', '.join(unknown)}")
    if asked.list:
        for fault in FAULTS.values():
            print(f"{fault.name:20} {fault.sentence}")
        return 0
    faults = [FAULTS[name] for name in asked.names] or list(FAULTS.values())
    results: list[Result] = []
    left_out: dict[str, str] = {}
    # Asked to stop, it cleans up as after Ctrl-C: many processes and a network namespace are its own.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    with laboratory() as place:
        for fault in faults:
            try:
                results.append(_made(place, fault, asked.clients))
            except Impossible as reason:
                left_out[fault.name] = str(reason)
            if asked.write:
                _write(results, left_out)
    print(markdown([cells(each) for each in results]))
    for name, why in left_out.items():
        print(f"not made: {name}: {why}")
    return sum(not result.is_clean for result in results)


def _write(results: list[Result], left_out: dict[str, str]) -> None:
    """Put the rows of these experiments into the document, beside those of others that are there."""
    before = rows_of(DOCUMENT.read_text()) if DOCUMENT.exists() else {}
    rows = before | {each.fault.name: cells(each) for each in results}
    sentences = {fault.name: fault.sentence for fault in FAULTS.values()}
    DOCUMENT.write_text(document(rows, sentences, left_out))


def _made(place: Laboratory, fault: Fault, clients: int) -> Result:
    print(f"{fault.name}: {fault.sentence}", flush=True)
    result = experiment(place, fault, clients_each=clients)
    print(
        markdown([cells(result)]).splitlines()[-1],
        f"{result.answers} answers to the probe",
        f"{result.refusals} refusals",
    )
    for flaw in result.verdict.flaws:
        print("   ", flaw, flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
