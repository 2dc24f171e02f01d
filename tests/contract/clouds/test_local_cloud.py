"""The local cloud on the real file system, with real processes in the place of servers."""

import json
import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from tests.contract.clouds.conftest import (
    STUBBORN,
    Processes,
    clear,
    cloud_on,
    needs_root,
    spec,
)

from coffer.catalogue.errors import CloudFailed
from coffer.clouds.cloud import Cloud, CloudMisconfigured
from coffer.clouds.local import processes
from coffer.clouds.local.cloud import LocalCloud
from coffer.clouds.local.guest_config import GuestConfig
from coffer.clouds.local.settings import LocalSettings


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


def test_an_instance_gets_a_directory_a_port_and_an_agent(cloud: LocalCloud) -> None:
    made: Cloud = cloud
    server = made.create(spec())
    config = config_of(cloud)
    assert (server.address, server.port) == ("127.0.0.1", config.port)
    assert config.port in LocalSettings().ports
    assert (config.instance_id, config.datastore, config.datastore_version) == ("i-1", "postgresql", "17")
    assert (config.ram_mib, config.volume_gib) == (512, 2)
    assert len(agents_of(cloud)) == 1
    assert cloud.owned() == ["i-1"]
    assert [flavor.id for flavor in cloud.flavors()] == ["1", "2", "3", "4", "5", "6"]


def test_only_the_control_plane_reads_what_the_agent_is_told(cloud: LocalCloud) -> None:
    cloud.create(spec())
    assert mode(guest_dir(cloud) / "guest.json") == 0o600
    assert mode(guest_dir(cloud) / "guestagent.log") == 0o600
    assert mode(guest_dir(cloud) / "data") == mode(guest_dir(cloud) / "log") == 0o700


@needs_root
def test_root_gives_each_instance_a_user_who_owns_only_data_and_log(cloud: LocalCloud) -> None:
    cloud.create(spec("i-1"))
    cloud.create(spec("i-2"))
    first, second = config_of(cloud, "i-1"), config_of(cloud, "i-2")
    assert first.uid is not None
    assert first.uid >= LocalSettings().base_uid
    assert first.gid == first.uid
    assert first.uid != second.uid
    place = guest_dir(cloud)
    assert (place / "data").stat().st_uid == (place / "log").stat().st_uid == first.uid
    assert place.stat().st_uid == (place / "guest.json").stat().st_uid == 0
    assert mode(place) == mode(place.parent) == 0o711


@needs_root
def test_the_user_of_an_instance_reaches_his_own_data_and_no_neighbours(
    cloud: LocalCloud, started: Processes
) -> None:
    cloud.create(spec("i-1"))
    cloud.create(spec("i-2"))
    uid = config_of(cloud, "i-1").uid

    def can(test: str, path: Path) -> bool:
        return started.start(["/usr/bin/test", test, str(path)], uid=uid).wait() == 0

    assert can("-w", guest_dir(cloud, "i-1") / "data")
    assert not can("-r", guest_dir(cloud, "i-2") / "data")
    assert not can("-r", guest_dir(cloud, "i-1") / "guest.json")
    assert not can("-r", guest_dir(cloud, "i-1") / "guestagent.log")
    assert not can("-r", cloud.layout.books)


@needs_root
def test_a_user_id_is_not_given_to_a_second_tenant_after_the_first_one_left(cloud: LocalCloud) -> None:
    seen = []
    for _ in range(3):
        cloud.create(spec())
        seen.append(config_of(cloud).uid)
        cloud.delete("i-1")
    assert len(set(seen)) == 3


def test_asked_again_it_answers_with_the_same_server_and_one_agent(cloud: LocalCloud) -> None:
    first = cloud.create(spec())
    agents = agents_of(cloud)
    (guest_dir(cloud) / "data" / "precious").touch()
    assert cloud.create(spec()) == first
    assert agents_of(cloud) == agents
    assert (guest_dir(cloud) / "data" / "precious").exists()


def test_an_instance_without_a_volume_has_no_volume_id(cloud: LocalCloud) -> None:
    assert cloud.create(spec(volume_gib=None)).volume_id is None
    assert cloud.create(spec("i-2")).volume_id is not None


def test_instances_made_at_once_share_neither_user_nor_port(scratch_dir: Path) -> None:
    settings = LocalSettings(ports=range(21500, 21520), uid_count=50, stop_grace_s=0.3)
    clouds = [cloud_on(scratch_dir, settings) for _ in range(2)]
    ids = [f"i-{number}" for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda pair: clouds[pair[0] % 2].create(spec(pair[1])), enumerate(ids)))
    configs = [config_of(clouds[0], instance_id) for instance_id in ids]
    assert len({config.port for config in configs}) == len(ids)
    if os.geteuid() == 0:
        assert len({config.uid for config in configs}) == len(ids)
    clear(clouds[0])


def _create_some(root: str, ids: Sequence[str]) -> None:
    cloud = cloud_on(Path(root), LocalSettings(ports=range(21520, 21540), uid_count=50))
    for instance_id in ids:
        cloud.create(spec(instance_id))


def test_two_control_planes_at_once_share_neither_user_nor_port(scratch_dir: Path) -> None:
    shares = [[f"{side}-{number}" for number in range(5)] for side in "ab"]
    context = get_context("spawn")
    planes = [context.Process(target=_create_some, args=(str(scratch_dir), share)) for share in shares]
    for plane in planes:
        plane.start()
    for plane in planes:
        plane.join(60)
        assert plane.exitcode == 0
    cloud = cloud_on(scratch_dir)
    configs = [config_of(cloud, instance_id) for share in shares for instance_id in share]
    assert len({config.port for config in configs}) == 10
    if os.geteuid() == 0:
        assert len({config.uid for config in configs}) == 10
    clear(cloud)


def test_a_port_that_a_stranger_listens_on_is_passed_over(scratch_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
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
    assert (scratch_dir / "instances").read_text() == "mine"


def test_a_read_only_root_is_refused(tmpfs: Path) -> None:
    cloud_on(tmpfs).check()
    subprocess.run(["mount", "-o", "remount,ro", str(tmpfs)], check=True)
    with pytest.raises(CloudFailed, match="the file system is read-only"):
        cloud_on(tmpfs).create(spec())
    with pytest.raises(CloudMisconfigured, match="Read-only"):
        cloud_on(tmpfs).check()
    assert cloud_on(tmpfs).owned() == []


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


def test_delete_removes_directory_and_agent_and_can_be_repeated(cloud: LocalCloud) -> None:
    cloud.create(spec())
    agents = agents_of(cloud)
    cloud.delete("i-1")
    cloud.delete("i-1")
    assert not any(processes.alive(agent) for agent in agents)
    assert cloud.owned() == []
    assert not guest_dir(cloud).exists()


def test_delete_of_what_never_was_is_no_error(cloud: LocalCloud) -> None:
    cloud.delete("i-404")


@pytest.mark.parametrize("instance_id", ["", ".", "..", "../x", "a/b", "-rf", "x" * 65, "a\0b"])
def test_an_id_that_leads_elsewhere_is_a_programmers_error(cloud: LocalCloud, instance_id: str) -> None:
    with pytest.raises(ValueError, match="not an id of an instance"):
        cloud.delete(instance_id)


@needs_root
def test_delete_kills_whatever_runs_under_the_instances_user(cloud: LocalCloud, started: Processes) -> None:
    cloud.create(spec("i-1"))
    cloud.create(spec("i-2"))
    mine, neighbours = config_of(cloud, "i-1").uid, config_of(cloud, "i-2").uid
    polite = started.start(["/bin/sleep", "1000"], uid=mine)
    stubborn = started.start(STUBBORN, uid=mine)
    frozen = started.start(["/bin/sleep", "1000"], uid=mine)
    frozen.send_signal(19)
    neighbour = started.start(["/bin/sleep", "1000"], uid=neighbours)
    stranger = started.start(["/bin/sleep", "1000"], uid=65534)
    own = started.start(["/bin/sleep", "1000"])
    cloud.delete("i-1")
    assert [process.wait(0) is not None for process in (polite, stubborn, frozen)] == [True, True, True]
    assert [process.poll() for process in (neighbour, stranger, own)] == [None, None, None]


def test_delete_kills_whatever_works_in_the_directory(cloud: LocalCloud, started: Processes) -> None:
    cloud.create(spec())
    place = guest_dir(cloud)
    program = place / "data" / "program"
    shutil.copy("/bin/sleep", program)
    by_place = started.start(["/bin/sleep", "1000"], cwd=place / "data")
    by_program = started.start([str(program), "1000"])
    by_argument = started.start([*STUBBORN, "-D", str(place / "data")])
    by_option = started.start([*STUBBORN, f"--datadir={place}/data"])
    elsewhere = started.start([*STUBBORN, f"{place}0"])
    cloud.delete("i-1")
    assert [p.wait(0) is not None for p in (by_place, by_program, by_argument, by_option)] == [True] * 4
    assert elsewhere.poll() is None


@needs_root
def test_a_process_of_another_user_that_names_the_directory_is_untouched(
    cloud: LocalCloud, started: Processes
) -> None:
    cloud.create(spec("i-1"))
    cloud.create(spec("i-2"))
    curious = started.start([*STUBBORN, str(guest_dir(cloud, "i-1"))], uid=config_of(cloud, "i-2").uid)
    cloud.delete("i-1")
    assert curious.poll() is None


@needs_root
def test_a_record_that_names_root_does_not_kill_roots_processes(
    cloud: LocalCloud, started: Processes
) -> None:
    cloud.create(spec())
    record = guest_dir(cloud) / "guest.json"
    content = json.loads(record.read_text())
    cloud.stop_guests()
    record.write_text(json.dumps({**content, "uid": 0, "gid": 0}))
    bystander = started.start(["/bin/sleep", "1000"])
    cloud.delete("i-1")
    assert bystander.poll() is None
    assert cloud.owned() == []


def test_a_directory_without_a_record_is_removed(cloud: LocalCloud) -> None:
    cloud.check()
    (guest_dir(cloud) / "data" / "base").mkdir(parents=True)
    assert cloud.owned() == ["i-1"]
    cloud.delete("i-1")
    assert cloud.owned() == []


@needs_root
def test_without_a_record_the_owner_of_the_data_tells_whose_processes_to_kill(
    cloud: LocalCloud, started: Processes
) -> None:
    cloud.create(spec())
    uid = config_of(cloud).uid
    (guest_dir(cloud) / "guest.json").unlink()
    stubborn = started.start(STUBBORN, uid=uid)
    cloud.delete("i-1")
    assert stubborn.wait(0) == -9


def test_half_made_remains_do_not_hinder_a_new_attempt(cloud: LocalCloud) -> None:
    cloud.check()
    (guest_dir(cloud) / "data" / "remains").mkdir(parents=True)
    cloud.create(spec())
    assert not (guest_dir(cloud) / "data" / "remains").exists()


def test_a_damaged_record_is_not_overwritten_by_create_but_delete_works(cloud: LocalCloud) -> None:
    cloud.create(spec())
    (guest_dir(cloud) / "guest.json").write_text("{")
    with pytest.raises(CloudFailed, match="damaged"):
        cloud.create(spec())
    cloud.create(spec("i-2"))
    cloud.delete("i-1")
    assert cloud.owned() == ["i-2"]


def test_directories_nested_deeper_than_pythons_stack_are_removed(cloud: LocalCloud) -> None:
    cloud.create(spec())
    deep = ";".join(["mkdir d && cd d || exit 1"] * 100)
    script = f"i=0; while [ $i -lt 20 ]; do {deep}; i=$((i+1)); done"
    subprocess.run(["/bin/sh", "-c", script], cwd=guest_dir(cloud) / "data", check=True)
    cloud.delete("i-1")
    assert cloud.owned() == []


def test_a_link_out_of_the_directory_is_removed_and_not_followed(
    cloud: LocalCloud, scratch_dir: Path
) -> None:
    outside = scratch_dir / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    cloud.create(spec())
    (guest_dir(cloud) / "data" / "link").symlink_to(outside)
    cloud.delete("i-1")
    assert (outside / "precious").exists()


def test_guests_stop_with_the_control_plane_and_servers_live_on(
    cloud: LocalCloud, started: Processes
) -> None:
    cloud.create(spec())
    agents = agents_of(cloud)
    server = started.start([*STUBBORN, "-D", str(guest_dir(cloud) / "data")])
    cloud.stop_guests()
    assert not any(processes.alive(agent) for agent in agents)
    assert server.poll() is None
    cloud.start_guests(["i-1", "i-gone"])
    assert len(agents_of(cloud)) == 1
    assert cloud.owned() == ["i-1"]


def test_an_agent_that_outlived_its_control_plane_is_found_again(
    cloud: LocalCloud, scratch_dir: Path
) -> None:
    cloud.create(spec())
    agents = agents_of(cloud)
    next_plane = cloud_on(scratch_dir)
    next_plane.start_guests(["i-1"])
    assert agents_of(cloud) == agents
    next_plane.delete("i-1")
    assert not any(processes.alive(agent) for agent in agents)


def test_an_agent_that_died_is_started_again(cloud: LocalCloud) -> None:
    cloud.create(spec())
    (agent,) = agents_of(cloud)
    processes.end(lambda: [agent] if processes.alive(agent) else [], grace_s=0, deadline_s=5)
    cloud.start_guests(["i-1"])
    (successor,) = agents_of(cloud)
    assert successor != agent


def test_what_is_not_an_instance_in_the_directory_is_not_owned(cloud: LocalCloud) -> None:
    cloud.check()
    (cloud.layout.instances / "lost+found").mkdir()
    (cloud.layout.instances / ".hidden").mkdir()
    assert cloud.owned() == []


def test_without_root_no_user_ids_are_given(scratch_dir: Path) -> None:
    cloud = cloud_on(scratch_dir, separate_users=False)
    cloud.check()
    cloud.create(spec())
    assert config_of(cloud).uid is config_of(cloud).gid is None
    assert mode(guest_dir(cloud)) == 0o700
    clear(cloud)


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


def test_a_removal_waits_for_a_creation_of_the_same_instance(scratch_dir: Path) -> None:
    cloud = cloud_on(scratch_dir, LocalSettings(lock_timeout_s=0.1))
    cloud.create(spec())
    with cloud.layout.changing("i-1", 1), pytest.raises(CloudFailed, match="busy"):
        cloud.delete("i-1")
    clear(cloud)
