"""`coffer standalone` as a process of its own, which a test may kill and start again on the same directory."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.support import mounts
from tests.support.ports import instance_port_options
from tests.support.processes import about, kill_about
from tests.support.scratch import scratch
from tests.support.waiting import wait_for

COFFER = str(Path(sys.executable).with_name("coffer"))
START_S = 60.0
STOP_S = 60.0
SETTLE_S = 60.0
COMMAND_S = 60.0
POLL_S = 0.03

Options = Mapping[str, Mapping[str, object]]


class Standalone:
    """One state directory below `root`, and the control plane on it, if it runs.

    Its log, its output and its configuration lie beside the state directory, not in it.
    """

    def __init__(self, root: Path, options: Options | None = None) -> None:
        """Use `options` (by group) for every start; they make a guest's signs of life quick, unless said."""
        self.root = root
        self.state_dir = root / "state"
        self.log = root / "control-plane.log"
        self.output = root / "control-plane.out"
        self.config_file = root / "coffer.conf"
        self._options: dict[str, dict[str, object]] = {
            "DEFAULT": {"report_interval": 0.5},
            "local_cloud": {"min_free_gib": 0, **instance_port_options()},
        }
        for group, values in (options or {}).items():
            self._options.setdefault(group, {}).update(values)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The control plane."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """Where the control plane listens."""
        return str(self._endpoint()["url"])

    def guest_dir(self, instance_id: str) -> Path:
        """Return where an instance lives."""
        return self.state_dir / "instances" / instance_id

    def start(self) -> None:
        """Start the control plane and wait until calls can be made."""
        self.launch()
        wait_for(self._is_up, START_S, "the control plane to listen", poll_s=POLL_S)

    def launch(self) -> None:
        """Start the control plane; does not wait for it."""
        assert self._process is None, "it runs already"
        self._configure()
        with self.output.open("ab") as output, self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command("standalone", "--port", "0", "--config-file", str(self.config_file)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )

    def kill(self) -> None:
        """Kill the control plane, at once and without a word."""
        self.end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask the control plane to stop; return its exit code."""
        return self.end(signal.SIGTERM)

    def end(self, how: signal.Signals) -> int:
        """Send the control plane a signal, wait for its end and return its exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        code = self._process.wait(STOP_S)
        self._process = None
        return code

    def kill_and_start(self) -> None:
        """Let another control plane take over the directory of a killed one."""
        self.kill()
        self.start()

    def postmaster(self, instance_id: str) -> int:
        """Return the process of an instance's database server."""
        return int((self.guest_dir(instance_id) / "data" / "postmaster.pid").read_text().split()[0])

    def kill_server(self, instance_id: str) -> None:
        """Kill the database server of an instance, and wait until its children have noticed."""
        os.kill(self.postmaster(instance_id), signal.SIGKILL)
        wait_for(lambda: not about(self.guest_dir(instance_id)), STOP_S, "the end of the server")

    def command(self, *words: str) -> list[str]:
        """Return the command line of a `coffer` command on the state directory."""
        return [COFFER, *words, "--state-dir", str(self.state_dir)]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a `coffer` command on the state directory to its end."""
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=COMMAND_S, check=False
        )

    def events(self) -> list[dict[str, Any]]:
        """Return everything that was announced, in the order of its arrival."""
        done = self.run("events", "list", "--format", "json")
        assert done.returncode == 0, done.stderr
        events: list[dict[str, Any]] = json.loads(done.stdout)["events"]
        return events

    def condition(self) -> dict[str, Any]:
        """Return what `coffer status` says."""
        done = self.run("status", "--format", "json")
        assert done.stdout, done.stderr
        condition: dict[str, Any] = json.loads(done.stdout)
        return condition

    def rows(self, query: str, *, database: str = "coffer.db") -> list[tuple[Any, ...]]:
        """Read a database of the state directory from outside."""
        with closing(sqlite3.connect(f"file:{self.state_dir / database}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    def settle(self) -> None:
        """Wait until no run is open and the outbox is empty."""
        query = (
            "select (select count(*) from runs where ended_at is null), (select count(*) from outbox),"
            " (select group_concat(operation) from runs where ended_at is null)"
        )
        wait_for(
            lambda: self.rows(query)[0][:2] == (0, 0), SETTLE_S, "the runs to end and the outbox to drain"
        )

    def log_text(self) -> str:
        """Return everything that the control planes on this directory have written."""
        return self.log.read_text(errors="replace")

    def clean_up(self) -> None:
        """End the control plane and every database server of the directory; both may have been killed before."""
        if self._process is not None:
            self.kill()
        kill_about(self.root)
        mounts.unmount_below(self.root)

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the control plane ended:\n{self.log_text()[-4000:]}"
        endpoint = self._endpoint()
        # A killed control plane leaves its own endpoint behind.
        return endpoint.get("pid") == self.pid

    def _endpoint(self) -> dict[str, Any]:
        try:
            text = (self.state_dir / "endpoint.json").read_text()
        except FileNotFoundError:
            return {}
        endpoint: dict[str, Any] = json.loads(text)
        return endpoint

    def _configure(self) -> None:
        lines = [
            line
            for group, values in self._options.items()
            for line in (f"[{group}]", *(f"{name} = {value}" for name, value in values.items()))
        ]
        self.config_file.write_text("\n".join([*lines, ""]))


@contextmanager
def standalone(options: Options | None = None) -> Iterator[Standalone]:
    """Run a control plane on a new directory; nothing of it stays behind."""
    with scratch() as root:
        made = Standalone(root, options)
        try:
            made.start()
            yield made
        finally:
            made.clean_up()
