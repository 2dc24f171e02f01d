"""Clouds on a scratch directory, and processes that play a server, for the tests of the local cloud."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.support.ports import instance_ports
from tests.support.scratch import scratch_dir

from coffer.clouds.cloud import ServerSpec
from coffer.clouds.local import processes
from coffer.clouds.local.cloud import LocalCloud
from coffer.clouds.local.flavors import DEFAULT_FLAVORS
from coffer.clouds.local.guest_config import GuestConfig
from coffer.clouds.local.launcher import ProcessLauncher
from coffer.clouds.local.layout import Layout
from coffer.clouds.local.settings import LocalSettings

__all__ = ["scratch_dir"]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives instances users of their own")

PATIENT = [sys.executable, "-c", "import signal; signal.pause()"]
"""A process that waits, takes further arguments without a look, and ends at the first signal."""
STUBBORN = ["/bin/sh", "-c", 'trap "" TERM INT; echo ready; while :; do /bin/sleep 0.1; done', "stubborn"]
"""A process that says `ready` and ends at SIGKILL only."""


def spec(instance_id: str = "i-1", *, volume_gib: int | None = 2) -> ServerSpec:
    return ServerSpec(
        instance_id=instance_id,
        name="shop",
        datastore="postgresql",
        datastore_version="17",
        flavor=DEFAULT_FLAVORS[0],
        volume_gib=volume_gib,
        availability_zone=None,
    )


def agent_command(guest_dir: Path) -> Sequence[str]:
    return [*PATIENT, "--guest-dir", str(guest_dir)]


def cloud_on(
    root: Path,
    settings: LocalSettings | None = None,
    *,
    command: Callable[[Path], Sequence[str]] = agent_command,
    separate_users: bool | None = None,
) -> LocalCloud:
    launcher = ProcessLauncher(Layout(root.resolve()).instances, command, grace_s=0.5, deadline_s=5)
    settings = settings or LocalSettings(stop_grace_s=0.3, stop_deadline_s=5, ports=instance_ports())
    return LocalCloud(root, DEFAULT_FLAVORS, launcher, settings, separate_users=separate_users)


class Processes:
    """Starts processes and sees to it that none is left."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def start(
        self,
        command: Sequence[str],
        *,
        uid: int | None = None,
        cwd: Path | str = "/",
        env: dict[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start one in a session of its own; a stubborn one is waited for until it is stubborn."""
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=cwd,
            env=env,
            start_new_session=True,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
        )
        self._started.append(process)
        if command[0] == STUBBORN[0]:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        return process

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture
def started() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.end()


@pytest.fixture
def cloud(scratch_dir: Path) -> Iterator[LocalCloud]:
    """A cloud whose instances are gone afterwards."""
    cloud = cloud_on(scratch_dir)
    yield cloud
    clear(cloud)


def clear(cloud: LocalCloud) -> None:
    for instance_id in cloud.owned():
        cloud.delete(instance_id)


def guest_dir(cloud: LocalCloud, instance_id: str = "i-1") -> Path:
    return cloud.layout.guest_dir(instance_id)


def config_of(cloud: LocalCloud, instance_id: str = "i-1") -> GuestConfig:
    return GuestConfig.load(guest_dir(cloud, instance_id))


def agents_of(cloud: LocalCloud, instance_id: str = "i-1") -> frozenset[processes.Identity]:
    return processes.naming(str(guest_dir(cloud, instance_id)))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def tmpfs(scratch_dir: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    path = scratch_dir / "disk"
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0711", "tmpfs", str(path)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("mounting is not permitted here")
    yield path
    subprocess.run(["umount", str(path)], check=True)
