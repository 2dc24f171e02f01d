"""The local cloud on a machine that refuses: what tenant and operator hear, and that nothing is left."""

import contextlib
import os
import random
import signal
import socket
import subprocess
from multiprocessing import get_context
from pathlib import Path

import pytest
from tests.contract.clouds.conftest import (
    agent_command,
    agents_of,
    clear,
    cloud_on,
    config_of,
    guest_dir,
    needs_root,
    spec,
)

from coffer.catalogue.errors import CloudFailed
from coffer.clouds.cloud import CloudMisconfigured
from coffer.clouds.local.cloud import LocalCloud
from coffer.clouds.local.flavors import DEFAULT_FLAVORS
from coffer.clouds.local.launcher import ProcessLauncher
from coffer.clouds.local.settings import LocalSettings


class _DyingLauncher(ProcessLauncher):
    """Takes the whole control plane with it, before or after the agent is there."""

    agent_first = False

    def launch(self, guest_dir: Path) -> None:
        if self.agent_first:
            super().launch(guest_dir)
            (guest_dir / "guestagent.pid").unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def _create_and_die(root: str, agent_first: bool) -> None:
    launcher = _DyingLauncher(Path(root) / "instances", agent_command)
    launcher.agent_first = agent_first
    LocalCloud(Path(root), DEFAULT_FLAVORS, launcher).create(spec())


@pytest.mark.parametrize("agent_first", [False, True])
@pytest.mark.parametrize("repair", ["create", "delete"])
def test_a_control_plane_killed_in_a_creation_leaves_what_the_next_one_can_finish_or_remove(
    scratch_dir: Path, agent_first: bool, repair: str
) -> None:
    plane = get_context("spawn").Process(target=_create_and_die, args=(str(scratch_dir), agent_first))
    plane.start()
    plane.join(60)
    assert plane.exitcode == -signal.SIGKILL
    cloud = cloud_on(scratch_dir)
    assert cloud.owned() == ["i-1"]
    if repair == "create":
        cloud.create(spec())
        assert len(agents_of(cloud)) == 1
    cloud.delete("i-1")
    assert cloud.owned() == []
    assert agents_of(cloud) == frozenset()


def free_ports_in_a_row(count: int, ports: range) -> int:
    """Return the first of `count` neighbouring ports on which nobody listens, from a random place on."""
    for first in random.sample(ports, 200):
        try:
            with contextlib.ExitStack() as held:
                for port in range(first, first + count):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports in a row")


def test_a_port_that_a_stranger_listens_on_is_passed_over(scratch_dir: Path) -> None:
    # Below the range from which connections take their ports: a neighbour of one of those may be anybody's.
    port = free_ports_in_a_row(3, range(11000, 19000))
    with socket.create_server(("127.0.0.1", port)):
        cloud = cloud_on(scratch_dir, LocalSettings(ports=range(port, port + 3), stop_grace_s=0.3))
        servers = [cloud.create(spec(f"i-{number}")) for number in range(2)]
        assert sorted(server.port for server in servers) == [port + 1, port + 2]
        with pytest.raises(CloudFailed, match="There is no free port left"):
            cloud.create(spec("i-2"))
    assert cloud.owned() == ["i-0", "i-1"]
    clear(cloud)


@needs_root
def test_when_all_user_ids_are_in_use_no_instance_is_made(scratch_dir: Path) -> None:
    cloud = cloud_on(scratch_dir, LocalSettings(base_uid=1_950_000_000, uid_count=1, stop_grace_s=0.3))
    cloud.create(spec("i-1"))
    with pytest.raises(CloudFailed, match="no user id left"):
        cloud.create(spec("i-2"))
    assert cloud.owned() == ["i-1"]
    cloud.delete("i-1")
    cloud.create(spec("i-2"))
    assert config_of(cloud, "i-2").uid == 1_950_000_000
    clear(cloud)


def test_a_root_that_is_a_file_is_refused_without_naming_it_to_the_tenant(scratch_dir: Path) -> None:
    root = scratch_dir / "state"
    root.write_text("mine")
    for place in (root, root / "below"):
        with pytest.raises(CloudFailed, match="a file stands in its place") as failed:
            cloud_on(place).create(spec())
        assert str(scratch_dir) not in failed.value.message
    assert root.read_text() == "mine"


def test_a_file_in_the_place_of_the_instances_is_refused(scratch_dir: Path) -> None:
    (scratch_dir / "instances").write_text("mine")
    with pytest.raises(CloudFailed, match="a file stands in its place"):
        cloud_on(scratch_dir).create(spec())
    cloud_on(scratch_dir).delete("i-1")
    assert (scratch_dir / "instances").read_text() == "mine"


def test_a_read_only_root_is_refused(tmpfs: Path) -> None:
    cloud_on(tmpfs).check()
    subprocess.run(["mount", "-o", "remount,ro", str(tmpfs)], check=True)
    with pytest.raises(CloudFailed, match="the file system is read-only"):
        cloud_on(tmpfs).create(spec())
    with pytest.raises(CloudMisconfigured, match="Read-only"):
        cloud_on(tmpfs).check()
    assert cloud_on(tmpfs).owned() == []


def test_what_could_not_be_made_on_a_read_only_disk_is_deleted_all_the_same(
    scratch_dir: Path, tmpfs: Path
) -> None:
    cloud = cloud_on(scratch_dir)
    (scratch_dir / "instances").symlink_to(tmpfs)
    subprocess.run(["mount", "-o", "remount,ro", str(tmpfs)], check=True)
    with pytest.raises(CloudFailed, match="the file system is read-only"):
        cloud.create(spec())
    cloud.delete("i-1")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_root_that_may_not_be_written_is_refused(scratch_dir: Path) -> None:
    scratch_dir.chmod(0o555)
    with pytest.raises(CloudFailed, match="lacks the permission"):
        cloud_on(scratch_dir).create(spec())


def test_less_space_than_the_reserve_is_refused(scratch_dir: Path) -> None:
    cloud = cloud_on(scratch_dir, LocalSettings(min_free_gib=1e9))
    with pytest.raises(CloudFailed, match="There is no space left on the machine"):
        cloud.create(spec())
    assert cloud.owned() == []


def test_a_full_disk_is_refused_and_nothing_is_left(tmpfs: Path) -> None:
    cloud = cloud_on(tmpfs, LocalSettings(min_free_gib=0))
    cloud.check()
    filler = tmpfs / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(b"x" * 2 * 2**20)
    with pytest.raises(CloudFailed, match="There is no space left on the machine"):
        cloud.create(spec())
    assert cloud.owned() == []
    filler.unlink()
    cloud.create(spec())
    clear(cloud)


def test_an_agent_that_cannot_be_started_leaves_nothing(scratch_dir: Path) -> None:
    cloud = cloud_on(scratch_dir, command=lambda guest_dir: ["/nonexistent/agent", str(guest_dir)])
    with pytest.raises(CloudFailed, match="could not make room"):
        cloud.create(spec())
    assert cloud.owned() == []


def test_a_failure_to_start_the_agent_of_a_finished_instance_keeps_its_data(scratch_dir: Path) -> None:
    cloud = cloud_on(scratch_dir)
    cloud.create(spec())
    cloud.stop_guests()
    broken = cloud_on(scratch_dir, command=lambda guest_dir: ["/nonexistent/agent", str(guest_dir)])
    with pytest.raises(CloudFailed):
        broken.create(spec())
    assert cloud.owned() == ["i-1"]
    clear(cloud)


def test_a_damaged_record_is_not_overwritten_by_create_but_delete_works(cloud: LocalCloud) -> None:
    cloud.create(spec())
    (guest_dir(cloud) / "guest.json").write_text("{")
    with pytest.raises(CloudFailed, match="damaged"):
        cloud.create(spec())
    cloud.create(spec("i-2"))
    cloud.delete("i-1")
    assert cloud.owned() == ["i-2"]


@needs_root
def test_a_root_that_servers_cannot_reach_is_reported_with_the_remedy(scratch_dir: Path) -> None:
    closed = scratch_dir / "home"
    closed.mkdir(mode=0o700)
    with pytest.raises(CloudMisconfigured, match=f"run `chmod o\\+x {closed}`"):
        cloud_on(closed / "state").check()
    cloud_on(closed / "state", separate_users=False).check()
    closed.chmod(0o711)
    cloud_on(closed / "state").check()


@needs_root
def test_user_ids_that_the_machine_does_not_have_are_reported(scratch_dir: Path) -> None:
    with pytest.raises(CloudMisconfigured, match="is no range of user ids"):
        cloud_on(scratch_dir, LocalSettings(base_uid=2**31)).check()


def test_ports_that_do_not_exist_are_reported(scratch_dir: Path) -> None:
    for ports in (range(5, 5), range(65000, 70000), range(3)):
        with pytest.raises(CloudMisconfigured, match="is no range of ports"):
            cloud_on(scratch_dir, LocalSettings(ports=ports)).check()
