"""Everything that a measurement needs, started once: a private RabbitMQ, a private PostgreSQL, databases, the peer."""

import base64
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.postgresql_server import PostgresqlServer, running_server
from tests.support.rabbitmq import RabbitNode, started_node
from tests.support.scratch import scratch

from benchmarks.measuring import Sample
from benchmarks.peer import WORKER
from coffer.store import migrate
from coffer.store.database import Database

PEER = Path(__file__).parent.parent / ".venv-peer"


POSTGRESQL = {"fsync": "on", "shared_buffers": "256MB", "max_wal_size": "4GB"}
"""As an operator has it: what is committed is on the disk."""


class Peer:
    """Upstream Trove in its own process and its own virtual environment, obeying orders."""

    def __init__(self, config_file: Path) -> None:
        """Start it, and wait until it is ready."""
        self._process = subprocess.Popen(
            [PEER / "bin/python", WORKER, config_file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=config_file.with_suffix(".log").open("ab"),
            text=True,
        )
        self._answer()

    def do(self, order: str, **arguments: object) -> dict[str, Any]:
        """Have `order` done and return what it took."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": order, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def sample(self, order: str, **arguments: object) -> Sample:
        """Have `order` done and return what one event of it cost."""
        done = self.do(order, **arguments)
        return Sample(done["wall_s"] / done["count"] * 1e6, done["cpu_s"] / done["count"] * 1e6)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass
class Lab:
    """What is running; `stack` closes what a bench starts for itself."""

    stack: ExitStack
    folder: Path
    node: RabbitNode
    server: PostgresqlServer

    def database_url(self, kind: str) -> str:
        """Return the URL of a new database with our schema."""
        if kind == "SQLite":
            number = len(list(self.folder.glob("*.db")))
            url = f"sqlite:///{self.folder}/coffer{number}.db"
        else:
            url = self.server.url(self.server.create_database())
        migrate.upgrade(url)
        return url

    def database(self, kind: str) -> Database:
        """Return a new database with our schema."""
        database = Database(self.database_url(kind))
        self.stack.callback(database.close)
        return database

    def databases(self) -> dict[str, Database]:
        """Return a new database of each kind."""
        return {kind: self.database(kind) for kind in ("SQLite", "PostgreSQL")}

    def peer_config(self, name: str, *, driver: str = "messagingv2", **options: object) -> Path:
        """Write a configuration of Trove's; its notifications go to the durable queues of our broker."""
        groups: Mapping[str, Mapping[str, object]] = {
            "DEFAULT": {"transport_url": self.node.url, "control_exchange": "trove", **options},
            "database": {"connection": f"sqlite:///{self.folder}/peer-{name}.sqlite"},
            "oslo_messaging_notifications": {"driver": driver},
            "oslo_messaging_rabbit": {"amqp_durable_queues": "true"},
            "oslo_policy": {"policy_dirs": self.folder / "none"},
        }
        return _written(self.folder / f"peer-{name}.conf", groups)

    def coffer_config(self, name: str, database_url: str, **options: Mapping[str, object]) -> Path:
        """Write a configuration of coffer's; `options` are by group."""
        groups: dict[str, dict[str, object]] = {
            "DEFAULT": {"transport_url": self.node.url},
            "database": {"connection": database_url},
            "local_cloud": {"root": self.folder / name},
            "guests": {"secrets": base64.urlsafe_b64encode(os.urandom(32)).decode()},
        }
        for group, values in options.items():
            groups.setdefault(group, {}).update(values)
        return _written(self.folder / f"{name}.conf", groups)

    def run(self, name: str, *command: object) -> subprocess.Popen[bytes]:
        """Start a process; it ends with the bench, its output goes to a file."""
        output = (self.folder / f"{name}.log").open("ab")
        process = subprocess.Popen(
            [str(word) for word in command], stdout=output, stderr=output, start_new_session=True
        )
        self.stack.callback(_end, process)
        return process

    def peer(self, name: str, *, driver: str = "messagingv2") -> Peer:
        """Start a process of the peer's."""
        peer = Peer(self.peer_config(name, driver=driver))
        self.stack.callback(peer.close)
        return peer


def _written(file: Path, groups: Mapping[str, Mapping[str, object]]) -> Path:
    file.touch(mode=0o600)  # there are passwords in it
    file.write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
            for group, values in groups.items()
        )
    )
    return file


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def laboratory() -> Iterator[Lab]:
    """Give a laboratory, and leave nothing of it."""
    if not PEER.exists():
        raise SystemExit("upstream Trove is not installed in .venv-peer; run: make bench")
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        node = stack.enter_context(started_node())
        server = stack.enter_context(running_server(settings=POSTGRESQL))
        yield Lab(stack.enter_context(ExitStack()), folder, node, server)
