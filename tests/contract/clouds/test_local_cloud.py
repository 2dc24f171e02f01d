"""The local cloud makes instances: real file system, real processes, nothing in their place."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests.contract.clouds.conftest import (
    STUBBORN,
    Processes,
    agents_of,
    clear,
    cloud_on,
    config_of,
    guest_dir,
    mode,
    needs_root,
    spec,
)

from coffer.clouds.cloud import Cloud, Server
from coffer.clouds.local import processes
from coffer.clouds.local.cloud import LocalCloud
from coffer.clouds.local.settings import LocalSettings


def made_on(cloud: Cloud) -> Server:
    """Make an instance as the task manager does, who knows the port only."""
    return cloud.create(spec())


def test_an_instance_gets_a_directory_a_port_and_an_agent(cloud: LocalCloud) -> None:
    server = made_on(cloud)
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


def test_half_made_remains_do_not_hinder_a_new_attempt(cloud: LocalCloud) -> None:
    cloud.check()
    (guest_dir(cloud) / "data" / "remains").mkdir(parents=True)
    cloud.create(spec())
    assert not (guest_dir(cloud) / "data" / "remains").exists()


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
