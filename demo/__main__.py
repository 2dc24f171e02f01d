"""A tenant's week in three minutes: everything real, everything announced."""

import sys
import time

from rich.console import Console

from demo.announcements import Announcements, runs_of, table_of
from demo.client import Client
from demo.standalone import standalone
from demo.story import Story

PROJECT = "demo"


def main() -> int:
    """Tell the story; 0 only if every run began and ended exactly once, in order."""
    console = Console(highlight=False, soft_wrap=True)
    began = time.monotonic()
    with standalone() as coffer:
        console.print(f"coffer listens on [bold]{coffer.url}[/], its state is in {coffer.state_dir}")
        announcements = Announcements(coffer.state_dir, console)
        openstack = Client(
            f"{coffer.url}/v1.0/{PROJECT}", lambda line: console.print(f"\n{line}", style="bold")
        )
        try:
            Story(openstack, console).tell()
            announcements.wait_until_every_run_ended()
        finally:
            announcements.stop()
    return verdict(announcements, console, time.monotonic() - began)


def verdict(announcements: Announcements, console: Console, took_s: float) -> int:
    """Print the runs and judge them."""
    runs = runs_of(announcements.events)
    console.print()
    console.print(table_of(runs))
    wrong = [run for run in runs if not run.in_order]
    if wrong or not runs:
        console.print(
            f"{len(wrong)} of {len(runs)} runs did not begin and end exactly once", style="bold red"
        )
        return 1
    console.print(
        f"{len(runs)} runs, {len(announcements.events)} announcements: "
        f"each run began once and ended once. {took_s:.0f} s.",
        style="bold green",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
