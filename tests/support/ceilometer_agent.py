"""The real `ceilometer-agent-notification`, in a virtual environment of its own, between a private RabbitMQ and files.

It is configured as docs/ceilometer.md tells an operator to, but for the publishers, which write files.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.ceilometer import ceilometer_python
from tests.support.rabbitmq import RabbitNode
from tests.support.standalone import COFFER

STOP_S = 30.0
EVENTS = ("trove.*", "dbaas.*")

_PIPELINE = """\
sources:
  - name: coffer
    {of}: {wanted}
    sinks: [file]
sinks:
  - name: file
    publishers: ["file://{path}?json"]
"""


def catalogue(format_: str) -> str:
    """Return what `coffer catalogue` prints."""
    done = subprocess.run(
        [COFFER, "catalogue", "--format", format_], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


@dataclass
class CeilometerAgent:
    """One agent below `root`, reading from `node` with durable queues, as coffer declares them."""

    root: Path
    node: RabbitNode
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        """What the agent writes."""
        return self.root / "agent.log"

    def configure(self) -> None:
        """Write the definitions that `coffer catalogue` prints, the pipelines and the configuration."""
        (self.root / "meters.d").mkdir()
        (self.root / "event_definitions.yaml").write_text(catalogue("ceilometer"))
        (self.root / "meters.d" / "trove.yaml").write_text(catalogue("meters"))
        for name, of, wanted in (("event_pipeline", "events", EVENTS), ("pipeline", "meters", ("*",))):
            text = _PIPELINE.format(of=of, wanted=json.dumps(wanted), path=self._sink(of))
            (self.root / f"{name}.yaml").write_text(text)
        configuration = self.root / "ceilometer.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            "[DEFAULT]\n"
            f"transport_url = {self.node.url}\n"
            f"pipeline_cfg_file = {self.root}/pipeline.yaml\n"
            f"event_pipeline_cfg_file = {self.root}/event_pipeline.yaml\n"
            f"log_file = {self.log}\n"
            "[event]\n"
            f"definitions_cfg_file = {self.root}/event_definitions.yaml\n"
            # Only what came with the severity error is kept raw: the proof of the queue that it was taken from.
            "store_raw = error\n"
            "[meter]\n"
            f"meter_definitions_dirs = {self.root}/meters.d\n"
            "[notification]\n"
            "notification_control_exchanges = trove\n"
            "[oslo_messaging_rabbit]\n"
            "amqp_durable_queues = true\n"
        )

    def start(self) -> None:
        """Start the agent; what is announced before it listens waits in the queues."""
        program = ceilometer_python().with_name("ceilometer-agent-notification")
        with (self.root / "agent.out").open("wb") as output:
            self._process = subprocess.Popen(
                [str(program), "--config-file", str(self.root / "ceilometer.conf")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.root,
            )

    def stop(self) -> None:
        """End the agent and its worker."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOP_S)

    def events(self) -> list[dict[str, Any]]:
        """Return every event that the agent has published."""
        return self._published("events")

    def samples(self) -> list[dict[str, Any]]:
        """Return every sample that the agent has published."""
        return self._published("meters")

    def log_text(self) -> str:
        """Return what the agent has said."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _sink(self, of: str) -> Path:
        return self.root / f"{of}.jsonl"

    def _published(self, of: str) -> list[dict[str, Any]]:
        path = self._sink(of)
        if not path.exists():
            return []
        # The last line may be half written.
        return [json.loads(line) for line in path.read_text().rpartition("\n")[0].splitlines()]


@contextmanager
def running_agent(root: Path, node: RabbitNode) -> Iterator[CeilometerAgent]:
    """Run an agent on `node` with its files below `root`."""
    agent = CeilometerAgent(root, node)
    agent.configure()
    agent.start()
    try:
        yield agent
    finally:
        agent.stop()
