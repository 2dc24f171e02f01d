"""The control plane is killed in each phase of an operation and started again (G6).

Where an operation stands is seen from outside: by its answer, by files and by processes.
"""

import itertools
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.announcements import settled
from tests.support.processes import about, is_running, running
from tests.support.standalone import Standalone
from tests.support.trove import Tenant
from tests.support.waiting import wait_for

PHASE_S = 60.0

CREATION: dict[str, Callable[[Path], bool]] = {
    "answered": lambda _: True,
    "directory": lambda place: place.exists(),
    "initdb": lambda place: (place / "data.new").exists(),
    "server started": lambda place: (place / "data" / "postmaster.pid").exists(),
    "prepared": lambda place: (place / "prepared").exists(),
}


@pytest.mark.parametrize("phase", CREATION)
def test_a_creation_cut_short_ends_once_and_leaves_nothing_behind(coffer: Standalone, phase: str) -> None:
    password = secrets.token_urlsafe(12)
    instance_id = Tenant(coffer.url).create(databases=["shop"], users={"alice": password})
    place = coffer.guest_dir(instance_id)
    wait_for(lambda: CREATION[phase](place), PHASE_S, f"the phase: {phase}")

    coffer.kill_and_start()

    announced = settled(coffer)
    tenant = Tenant(coffer.url)
    shown = tenant.show(instance_id)
    run = announced.only("instance_create")
    if run.succeeded:
        assert shown["status"] == "ACTIVE"
        write_a_row(tenant, instance_id, password)
    else:
        assert shown["status"] == "ERROR"
        assert shown["fault"]["message"] == run.error["message"]
        assert run.error["fault"] == "system"
    delete_without_a_trace(coffer, instance_id)


def test_a_control_plane_killed_right_after_a_creation_has_the_instance_in_use(coffer: Standalone) -> None:
    password = secrets.token_urlsafe(12)
    tenant = Tenant(coffer.url)
    instance_id = tenant.create_active(users={"alice": password})

    coffer.kill_and_start()

    assert settled(coffer).only("instance_create").succeeded
    write_a_row(Tenant(coffer.url), instance_id, password)
    delete_without_a_trace(coffer, instance_id)


@pytest.mark.parametrize("milestone", ["relay is active", "run ended"])
def test_a_control_plane_killed_while_it_recovers_is_recovered_by_the_next(
    coffer: Standalone, milestone: str
) -> None:
    instance_id = Tenant(coffer.url).create(databases=["shop"])
    coffer.kill()
    written = coffer.log_text().count(milestone)
    coffer.launch()
    wait_for(lambda: coffer.log_text().count(milestone) > written, PHASE_S, f"the log to say: {milestone}")

    coffer.kill_and_start()

    assert not settled(coffer).only("instance_create").succeeded
    delete_without_a_trace(coffer, instance_id)


DELETION = ("answered", "server gone", "directory gone")


@pytest.mark.parametrize("phase", DELETION)
def test_a_deletion_cut_short_is_completed(coffer: Standalone, phase: str) -> None:
    tenant = Tenant(coffer.url)
    instance_id = tenant.create_active()
    place = coffer.guest_dir(instance_id)
    postmaster, uid = coffer.postmaster(instance_id), uid_of(coffer, instance_id)
    conditions: dict[str, Callable[[], bool]] = {
        "answered": lambda: True,
        "server gone": lambda: not is_running(postmaster),
        "directory gone": lambda: not place.exists(),
    }
    tenant.api.instances.delete(instance_id)
    wait_for(conditions[phase], PHASE_S, f"the phase: {phase}")

    coffer.kill_and_start()

    Tenant(coffer.url).wait_until_gone(instance_id)
    announced = settled(coffer)
    assert announced.only("instance_delete").succeeded
    assert len(announced.facts("trove.instance.delete")) == 1
    nothing_is_left(coffer, instance_id, uid)


@pytest.mark.parametrize("phase", ["answered", "server gone"])
def test_a_restart_cut_short_leaves_a_server_that_serves(coffer: Standalone, phase: str) -> None:
    password = secrets.token_urlsafe(12)
    tenant = Tenant(coffer.url)
    instance_id = tenant.create_active(users={"alice": password})
    postmaster = coffer.postmaster(instance_id)
    tenant.api.instances.restart(instance_id)
    if phase == "server gone":
        wait_for(lambda: not is_running(postmaster), PHASE_S, "the server to stop")

    coffer.kill_and_start()

    tenant = Tenant(coffer.url)
    tenant.wait_until_it_takes(instance_id, database="shop", user="alice", password=password)
    tenant.wait_for_server(instance_id, "HEALTHY")
    assert tenant.show(instance_id)["status"] == "ACTIVE"
    write_a_row(tenant, instance_id, password)
    run = settled(coffer).only("instance_restart")
    if not run.succeeded:
        assert run.error["error_code"] == "owner_died"
    tenant.api.instances.restart(instance_id)
    tenant.wait_for(instance_id, "ACTIVE")
    assert settled(coffer).of("instance_restart")[1].succeeded


@pytest.mark.parametrize("phase", ["answered", "half done"])
def test_databases_and_users_cut_short_can_be_had_all_the_same(coffer: Standalone, phase: str) -> None:
    password = secrets.token_urlsafe(12)
    tenant = Tenant(coffer.url)
    instance_id = tenant.create_active()
    databases = [f"d{number}" for number in range(6)]
    users = [f"u{number}" for number in range(2)]
    tenant.api.databases.create(instance_id, [{"name": name} for name in databases])
    tenant.api.users.create(
        instance_id,
        [{"name": name, "password": password, "databases": [{"name": "shop"}]} for name in users],
    )
    if phase == "half done":
        wait_for(lambda: len(tenant.api.databases.list(instance_id)) > 2, PHASE_S, "some databases")

    coffer.kill_and_start()

    tenant = Tenant(coffer.url)
    ended = settled(coffer)
    assert len(ended.of("database_create")) == len(databases)
    assert len(ended.of("user_create")) == len(users)
    for run in ended.of("database_create") + ended.of("user_create"):
        assert run.succeeded or run.error["error_code"] == "owner_died"
    have_anew(coffer, tenant.api.databases, instance_id, [{"name": name} for name in databases])
    everywhere = [{"name": name} for name in ("shop", *databases)]
    wanted = [{"name": name, "password": password, "databases": everywhere} for name in users]
    have_anew(coffer, tenant.api.users, instance_id, wanted)
    for database, user in itertools.product(databases, users):
        with tenant.log_in(instance_id, database=database, user=user, password=password) as session:
            session.execute("create table if not exists t (n int)" if user == users[0] else "select 1")
    settled(coffer)


def have_anew(coffer: Standalone, those: Any, instance_id: str, wanted: list[dict[str, Any]]) -> None:
    """Create databases or users, after deleting what an interrupted creation has left of them."""
    names = {each["name"] for each in wanted}
    for name in names & {each.name for each in those.list(instance_id)}:
        those.delete(instance_id, name)
    coffer.settle()
    those.create(instance_id, wanted)
    coffer.settle()
    assert names <= {each.name for each in those.list(instance_id)}


def write_a_row(tenant: Tenant, instance_id: str, password: str) -> None:
    """Use the instance as its tenant does."""
    with tenant.log_in(instance_id, database="shop", user="alice", password=password) as session:
        session.execute("create table if not exists sales (n int)")
        session.execute("insert into sales values (1)")


def delete_without_a_trace(coffer: Standalone, instance_id: str) -> None:
    """Delete an instance, broken or not; nothing of it runs or lies on disk afterwards."""
    tenant = Tenant(coffer.url)
    uid = uid_of(coffer, instance_id)
    tenant.api.instances.delete(instance_id)
    tenant.wait_until_gone(instance_id)
    assert settled(coffer).of("instance_delete")[-1].succeeded
    nothing_is_left(coffer, instance_id, uid)


def uid_of(coffer: Standalone, instance_id: str) -> int | None:
    """Return the user that the instance's server runs as, None where it has none of its own (yet)."""
    guest = coffer.guest_dir(instance_id) / "guest.json"
    uid: int | None = json.loads(guest.read_text())["uid"] if guest.exists() else None
    return uid


def nothing_is_left(coffer: Standalone, instance_id: str, uid: int | None) -> None:
    """Look for files and processes of an instance, and for any server of the directory."""
    place = coffer.guest_dir(instance_id)
    assert not place.exists()
    assert about(place) == []
    assert [each for each in about(coffer.state_dir) if each.pid != coffer.pid] == []
    assert uid is None or [each for each in running() if each.uid == uid] == []
