"""Prints each announcement as it happens, and the table of runs at the end."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Event = dict[str, Any]


class Announcements:
    """Follows `coffer events watch` in a thread."""

    def __init__(self, state_dir: Path, console: Console) -> None:
        """Follow the events of the control plane in `state_dir`."""
        self.events: list[Event] = []
        self._console = console
        coffer = str(Path(sys.executable).with_name("coffer"))
        self._process = subprocess.Popen(
            [coffer, "events", "watch", "--format", "jsonl", "--state-dir", str(state_dir)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def stop(self) -> None:
        """Stop following."""
        self._process.terminate()
        self._process.wait()
        self._thread.join()
        if self._process.stdout:
            self._process.stdout.close()

    def wait_until_every_run_ended(self, timeout_s: float = 30) -> None:
        """Wait until each run that began has an ending, or the time is over."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            counts = [run_of_events.counts for run_of_events in runs_of(self.events)]
            if counts and all(count["start"] == 1 and count["end"] + count["error"] == 1 for count in counts):
                return
            time.sleep(0.1)

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            self.events.append(event)
            self._console.print(_line(event))


class RunOfEvents:
    """The events of one run."""

    def __init__(self, run_id: str) -> None:
        """Start with none."""
        self.run_id = run_id
        self.events: list[Event] = []

    @property
    def counts(self) -> Counter[str]:
        """How many of each phase."""
        return Counter(event["event_type"].rpartition(".")[2] for event in self.events)

    @property
    def in_order(self) -> bool:
        """Whether one start came first, and then one ending."""
        return [event["event_type"].endswith(".start") for event in self.events] == [True, False]


def runs_of(events: list[Event]) -> list[RunOfEvents]:
    """Group the `dbaas.*` events by run, in order of their beginning."""
    runs: dict[str, RunOfEvents] = {}
    for event in list(events):
        if event["event_type"].startswith("dbaas."):
            run_id = event["payload"]["run_id"]
            runs.setdefault(run_id, RunOfEvents(run_id)).events.append(event)
    return list(runs.values())


def table_of(runs: list[RunOfEvents]) -> Table:
    """Return the table of runs: what began, on what, how it ended, how long it took."""
    names = names_in(runs)
    table = Table(title="Runs", title_justify="left")
    for heading in ("operation", "on", "started", "ending", "duration"):
        table.add_column(heading, no_wrap=True)
    for run in runs:
        start, last = run.events[0], run.events[-1]
        ending = last["event_type"].rpartition(".")[2]
        table.add_row(
            start["event_type"].split(".")[1],
            _subject(last["payload"], names),
            start["timestamp"][11:19],
            Text(ending, style="green" if ending == "end" else "red"),
            f"{last['payload'].get('duration_s', 0):.2f} s",
        )
    return table


def names_in(runs: list[RunOfEvents]) -> dict[str, str]:
    """Return what things are called, by their ids, as the announcements of their creation say."""
    found: dict[str, str] = {}
    for run in runs:
        for event in run.events:
            payload = event["payload"]
            kind = event["event_type"].split(".")[1].partition("_")[0]
            if "name" in payload and f"{kind}_id" in payload:
                found[payload[f"{kind}_id"]] = payload["name"]
    return found


def _subject(payload: dict[str, Any], names: Mapping[str, str] = MappingProxyType({})) -> str:
    """Say in a word what an event is about."""
    named = payload.get("dbname") or payload.get("username") or payload.get("name")
    if named:
        return str(named)
    ids = (payload.get(key) for key in ("backup_id", "instance_id", "configuration_id"))
    found = next((str(each) for each in ids if each), "")
    return names.get(found, f"{found[:8]}…")


def _line(event: Event) -> Text:
    payload = event["payload"]
    about = _subject(payload)
    style = {"error": "red"}.get(event["severity"].lower(), "cyan")
    line = Text("   ▸ ", style="dim")
    line.append(f"{event['timestamp'][11:23]} ", style="dim")
    line.append(event["event_type"], style=style)
    line.append(f"  {about}")
    if "message" in payload:
        line.append(f"  {payload['message']}", style="red")
    return line
