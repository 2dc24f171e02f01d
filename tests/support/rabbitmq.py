"""A private RabbitMQ node: own ports, own epmd, own directory, nothing of the system's is touched.

`started_node()` gives one to a test (or, session-wide, to many); it can be killed, frozen and started again.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.ports import free_port
from tests.support.waiting import wait_for

_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The script itself: the wrapper in /usr/sbin drops the environment and changes the user."""
_BOOT_S = 90.0
_STILL_STARTING = "requires the 'rabbit' app to be running"
_GREETING = b"AMQP\x00\x00\x09\x01"


@dataclass
class RabbitNode:
    """One node with the user `coffer`, who may do everything in the virtual host `/`."""

    root: Path
    port: int = field(default_factory=free_port)
    distribution_port: int = field(default_factory=free_port)
    epmd_port: int = field(default_factory=free_port)
    control_port: int = field(default_factory=free_port)
    user: str = "coffer"
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    management_port: int | None = None
    """Where the management API listens; None: the plugin is off, which starts sooner."""
    _node: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _epmd: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The `transport_url`."""
        return f"rabbit://{self.user}:{self.password}@127.0.0.1:{self.port}/"

    @property
    def management_url(self) -> str:
        """The `broker_management_url`."""
        assert self.management_port is not None, "the node has no management API"
        return f"http://{self.user}:{self.password}@127.0.0.1:{self.management_port}"

    def prepare(self) -> None:
        """Write the files of the node."""
        for name in ("home", "mnesia", "log"):
            (self.root / name).mkdir()
        cookie = self.root / "home" / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        plugins = "" if self.management_port is None else "rabbitmq_management"
        (self.root / "enabled_plugins").write_text(f"[{plugins}].\n")
        (self.root / "none").write_text("")
        (self.root / "advanced.config").write_text("[].\n")
        (self.root / "definitions.json").write_text(json.dumps(self._definitions()))
        (self.root / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"load_definitions = {self.root}/definitions.json\n"
            "disk_free_limit.absolute = 50MB\n"
            "vm_memory_high_watermark.absolute = 1GB\n" + self._management()
        )

    def _management(self) -> str:
        if self.management_port is None:
            return ""
        return f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.management_port}\n"

    def start(self) -> None:
        """Start the node, again perhaps, and wait until it speaks AMQP."""
        if self._epmd is None:
            self._epmd = subprocess.Popen(
                ["epmd", "-address", "127.0.0.1", "-port", str(self.epmd_port)],
                env=self._environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        with (self.root / "log" / "stdout").open("ab") as log:
            self._node = subprocess.Popen(
                [str(_SERVER)],
                env=self._environment(),
                cwd=self.root,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        wait_for(self._answers_or_died, _BOOT_S, f"RabbitMQ on port {self.port} ({self.root}/log)")

    def stop(self) -> None:
        """Stop the node in order; what is durable is kept."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the node at once (SIGKILL)."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop the node from doing anything, its connections staying open."""
        os.killpg(self._process().pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen node go on."""
        os.killpg(self._process().pid, signal.SIGCONT)

    def revive(self) -> None:
        """Bring the node back from whatever a test did to it."""
        if self._process().poll() is None:
            self.thaw()
        else:
            self.start()

    def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl` and return what it prints; takes most of a second.

        A node that has just started speaks AMQP a little before it takes orders.
        """
        done = wait_for(lambda: self._controlled(arguments), _BOOT_S, "the node to take orders")
        assert done is not None
        return done.stdout

    def _controlled(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str] | None:
        done = subprocess.run(
            ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", *arguments],
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if _STILL_STARTING in done.stderr:
            return None
        assert done.returncode == 0, f"rabbitmqctl {arguments} ended with {done.returncode}: {done.stderr}"
        return done

    def destroy(self) -> None:
        """Kill everything that was started here."""
        if self._node is not None and self._node.poll() is None:
            self.thaw()
            self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None

    def _process(self) -> subprocess.Popen[bytes]:
        assert self._node is not None, "the node was not started"
        return self._node

    def _end(self, how: signal.Signals) -> None:
        """Signal the whole group: Erlang's helpers are children of the node."""
        process = self._process()
        os.killpg(process.pid, how)
        process.wait(timeout=60)

    def _answers_or_died(self) -> bool:
        code = self._process().poll()
        if code is not None:
            log = (self.root / "log" / "stdout").read_text(errors="replace")[-3000:]
            raise AssertionError(f"RabbitMQ ended with {code} while starting:\n{log}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(_GREETING)
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def _definitions(self) -> dict[str, object]:
        everything = ".*"
        return {
            "users": [{"name": self.user, "password": self.password, "tags": "administrator"}],
            "vhosts": [{"name": "/"}],
            "permissions": [
                {
                    "user": self.user,
                    "vhost": "/",
                    "configure": everything,
                    "write": everything,
                    "read": everything,
                }
            ],
        }

    def _environment(self) -> dict[str, str]:
        root = str(self.root)
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": f"{root}/home",
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": "/dev/null",
            "RABBITMQ_NODENAME": f"coffer{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_CTL_DIST_PORT_MIN": str(self.control_port),
            "RABBITMQ_CTL_DIST_PORT_MAX": str(self.control_port + 10),
            "RABBITMQ_MNESIA_BASE": f"{root}/mnesia",
            "RABBITMQ_LOG_BASE": f"{root}/log",
            "RABBITMQ_PID_FILE": f"{root}/node.pid",
            "RABBITMQ_CONFIG_FILE": f"{root}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{root}/advanced.config",
            "RABBITMQ_CONF_ENV_FILE": f"{root}/none",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{root}/mnesia",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{root}/enabled_plugins",
            "RABBITMQ_FEATURE_FLAGS_FILE": f"{root}/mnesia/feature_flags",
            # The shell then execs the node, so that the pid we know is the node's.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false "
                "+sbwt none +sbwtdcpu none +sbwtdio none"
            ),
        }


def require_rabbitmq() -> None:
    """Skip where RabbitMQ's server is not installed; fail where that must not happen (CI)."""
    missing = None
    if not _SERVER.exists():
        missing = f"{_SERVER} does not exist (apt: rabbitmq-server)"
    elif shutil.which("epmd") is None:
        missing = "epmd is not installed (apt: erlang-base)"
    if missing is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"RabbitMQ is needed: {missing}")
    pytest.skip(missing)


@contextmanager
def started_node(*, has_management: bool = False) -> Iterator[RabbitNode]:
    """Give a running node, and leave nothing of it."""
    require_rabbitmq()
    root = Path(tempfile.mkdtemp(prefix="coffer-rabbitmq-", dir="/tmp"))
    node = RabbitNode(root, management_port=free_port() if has_management else None)
    try:
        node.prepare()
        node.start()
        yield node
    finally:
        node.destroy()
        shutil.rmtree(root)
