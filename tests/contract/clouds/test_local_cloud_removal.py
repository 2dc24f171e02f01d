"""The local cloud removes instances: every process and every file of theirs, and nobody else's."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from tests.contract.clouds.conftest import (
    STUBBORN,
    Processes,
    agents_of,
    clear,
    cloud_on,
    config_of,
    guest_dir,
    needs_root,
    spec,
)

from coffer.catalogue.errors import CloudFailed
from coffer.clouds.local import processes
from coffer.clouds.local.cloud import LocalCloud
from coffer.clouds.local.settings import LocalSettings


@needs_root
def test_a_user_id_is_not_given_to_a_second_tenant_after_the_first_one_left(cloud: LocalCloud) -> None:
    seen = []
    for _ in range(3):
        cloud.create(spec())
        seen.append(config_of(cloud).uid)
        cloud.delete("i-1")
    assert len(set(seen)) == 3


def test_delete_removes_directory_and_agent_and_can_be_repeated(cloud: LocalCloud) -> None:
    cloud.create(spec())
    agents = agents_of(cloud)
    cloud.delete("i-1")
    cloud.delete("i-1")
    assert not any(processes.alive(agent) for agent in agents)
    assert cloud.owned() == []
    assert not guest_dir(cloud).exists()


def test_what_is_halted_runs_no_more_and_keeps_all_it_has(cloud: LocalCloud, started: Processes) -> None:
    cloud.create(spec())
    agents, precious = agents_of(cloud), guest_dir(cloud) / "data" / "precious"
    precious.touch()
    server = started.start(["/bin/sleep", "1000"], cwd=guest_dir(cloud) / "data")

    cloud.halt("i-1")
    cloud.halt("i-1")

    assert not any(processes.alive(agent) for agent in agents)
    assert server.wait(5) is not None
    assert precious.exists()
    cloud.start_guests(["i-1"])
    assert agents_of(cloud)
    assert agents_of(cloud) != agents


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
    frozen.send_signal(signal.SIGSTOP)
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


def test_a_removal_waits_for_a_creation_of_the_same_instance(scratch_dir: Path) -> None:
    cloud = cloud_on(scratch_dir, LocalSettings(lock_timeout_s=0.1))
    cloud.create(spec())
    with cloud.layout.changing("i-1", 1), pytest.raises(CloudFailed, match="busy"):
        cloud.delete("i-1")
    clear(cloud)
