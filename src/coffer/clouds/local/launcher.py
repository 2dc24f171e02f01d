"""How a guest agent comes to run: the port, and the launcher that gives each agent a process of its own.

The other launcher, which runs agents as threads of one process, is injected by `main/`.
"""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from coffer.catalogue.errors import CloudFailed
from coffer.clouds.local import processes
from coffer.clouds.local.failures import told
from coffer.clouds.local.guest_config import replace_file
from coffer.clouds.local.processes import Identity

LOG = logging.getLogger(__name__)

PID_FILE_NAME = "guestagent.pid"
LOG_FILE_NAME = "guestagent.log"

_HANDED_ON = ("PATH", "HOME", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR")

Command = Callable[[Path], Sequence[str]]
"""Makes an agent's argument list from its instance's directory, which is one of the arguments."""


class GuestLauncher(Protocol):
    """Runs guest agents. Both calls are idempotent and safe from several threads, for different instances."""

    def launch(self, guest_dir: Path) -> None:
        """Start the agent of the instance that lives in this directory, unless it runs.

        Raises:
            CloudFailed: it cannot be started; the reason is for the tenant.
        """
        ...

    def stop(self, instance_id: str) -> None:
        """Stop the agent, if it runs; its database server lives on.

        Raises:
            CloudFailed: it still runs.
        """
        ...


def guest_command(guest_dir: Path) -> Sequence[str]:
    """Return the command line of an agent of this very installation.

    It finds all that it may know in its directory: no file of the control plane is named, and no secret, since
    everybody can read arguments.
    """
    return [sys.executable, "-m", "coffer.cli", "guestagent", "--guest-dir", str(guest_dir)]


class ProcessLauncher:
    """One detached process an agent: it outlives a control plane that is killed; the next one finds it."""

    def __init__(
        self, instances: Path, command: Command, *, grace_s: float = 10.0, deadline_s: float = 20.0
    ) -> None:
        """Launch with `command` below the directory `instances`.

        Args:
            instances: the directory of all instances' directories.
            command: makes the argument list; the agent's directory must be one of the arguments as it is.
            grace_s: how long a stopping agent has before it is killed.
            deadline_s: when to give up on one that survives even that.
        """
        self._instances = instances
        self._command = command
        self._grace_s = grace_s
        self._deadline_s = deadline_s

    def launch(self, guest_dir: Path) -> None:
        """See `GuestLauncher`."""
        instance_id = guest_dir.name
        _CHILDREN.reap()
        if _agents(guest_dir):
            return
        with told(instance_id, guest_dir):
            # An old note must not hide a new agent whose note was never written.
            (guest_dir / PID_FILE_NAME).unlink(missing_ok=True)
            child = _spawn(self._command(guest_dir), guest_dir / LOG_FILE_NAME)
            _CHILDREN.add(child)
            _note(child, guest_dir)
        LOG.info("guest agent launched instance_id=%s pid=%s", instance_id, child.pid)

    def stop(self, instance_id: str) -> None:
        """See `GuestLauncher`."""
        guest_dir = self._instances / instance_id
        found = _agents(guest_dir)
        left = processes.end(
            lambda: [agent for agent in found if processes.alive(agent)],
            grace_s=self._grace_s,
            deadline_s=self._deadline_s,
        )
        _CHILDREN.reap()
        if left:
            LOG.error("guest agent survives instance_id=%s pids=%s", instance_id, [it.pid for it in left])
            raise CloudFailed(reason="The guest agent of the instance cannot be stopped.")
        with told(instance_id, guest_dir):
            _forget(guest_dir)


class _Children:
    """The agents that this process started and has to collect when they end, whichever launcher it was.

    Kept even when a launcher is dropped: agents may outlive it.
    """

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def add(self, child: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._running.append(child)

    def reap(self) -> None:
        """Collect those that have ended, so that no zombie stays."""
        with self._lock:
            self._running = [child for child in self._running if child.poll() is None]


_CHILDREN = _Children()


def _note(child: subprocess.Popen[bytes], guest_dir: Path) -> None:
    """Write down who the agent is; an agent that cannot be found again must not run."""
    identity = processes.identify(child.pid)
    if identity is None:
        LOG.warning("guest agent ended at once instance_id=%s pid=%s", guest_dir.name, child.pid)
        return
    note = {"pid": identity.pid, "started": identity.started, "boot_id": processes.boot_id()}
    try:
        replace_file(guest_dir / PID_FILE_NAME, json.dumps(note) + "\n")
    except OSError:
        child.kill()
        child.wait()
        raise


def _agents(guest_dir: Path) -> frozenset[Identity]:
    """Find the agent's process: by the note, or, when a crash came before the note, by its arguments."""
    try:
        note = json.loads((guest_dir / PID_FILE_NAME).read_text())
        identity = Identity(int(note["pid"]), int(note["started"]))
        same_boot = note["boot_id"] == processes.boot_id()
    except (OSError, ValueError, KeyError, TypeError):
        return processes.naming(str(guest_dir))
    return frozenset({identity}) if same_boot and processes.alive(identity) else frozenset()


def _forget(guest_dir: Path) -> None:
    try:
        (guest_dir / PID_FILE_NAME).unlink(missing_ok=True)
    except NotADirectoryError:
        return


def _spawn(command: Sequence[str], log_file: Path) -> subprocess.Popen[bytes]:
    handle = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=_environment(os.environ),
            start_new_session=True,
        )
    finally:
        os.close(handle)


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return the little that an agent needs: ours may hold passwords, and settings of database clients."""
    kept = {name: ours[name] for name in _HANDED_ON if name in ours}
    return {**kept, "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
