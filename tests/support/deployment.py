"""coffer as an operator runs it: each service a process of its own, one configuration file, a broker and a database."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

COFFER = str(Path(sys.executable).with_name("coffer"))
START_S = 60.0
STOP_S = 30.0


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Service:
    """One process of coffer; what it writes goes to `log`."""

    kind: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """The process."""
        return self.process.pid

    def text(self) -> str:
        """What it has written."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """Kill it, and what it has forked, at once."""
        os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(STOP_S)

    def terminate(self) -> tuple[int, float]:
        """Ask it to stop; return its exit code and how many seconds it took."""
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_S)
        return code, time.monotonic() - began_s


@dataclass
class Deployment:
    """One installation below `root`. `options` are by group, over defaults that make a test quick."""

    root: Path
    transport_url: str = field(repr=False)
    database_url: str = field(repr=False)
    collector_url: str = field(repr=False)
    first_port: int = 21000
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    services: list[Service] = field(default_factory=list)

    @property
    def config_file(self) -> Path:
        """The file that every process reads."""
        return self.root / "coffer.conf"

    @property
    def url(self) -> str:
        """Where the API listens."""
        return f"http://127.0.0.1:{self.port}"

    def configure(self) -> None:
        """Write the configuration file: readable by nobody else, since it holds passwords."""
        groups: dict[str, dict[str, object]] = {
            "DEFAULT": {
                "transport_url": self.transport_url,
                "report_interval": 0.5,
                "watchdog_interval": 0.25,
                "service_down_time": 3,
                "rpc_cast_timeout_s": 5,
            },
            "database": {"connection": self.database_url},
            "collector": {"connection": self.collector_url},
            "api": {"bind_port": self.port},
            "local_cloud": {
                "root": self.root / "cloud",
                "first_port": self.first_port,
                "last_port": self.first_port + 99,
                "min_free_gib": 0.1,
            },
        }
        for group, options in self.options.items():
            groups.setdefault(group, {}).update(options)
        lines = [
            line
            for group, options in groups.items()
            for line in (f"[{group}]", *(f"{name} = {value}" for name, value in options.items()), "")
        ]
        self.config_file.touch(mode=0o600)
        self.config_file.write_text("\n".join(lines))

    def run(self, *words: str, timeout_s: float = 60.0) -> str:
        """Run a `coffer` command to its end and return what it printed."""
        done = subprocess.run(
            [COFFER, *words, "--config-file", str(self.config_file)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, (
            f"coffer {words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
        return done.stdout

    def start(self, kind: str) -> Service:
        """Start a service in a process group of its own; does not wait for it."""
        log = self.root / f"{kind}-{secrets.token_hex(3)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [COFFER, kind, "--config-file", str(self.config_file)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )
        service = Service(kind, process, log)
        self.services.append(service)
        return service
