"""What the machine can do to a database server and to its place: kill it, take its port, its disk, its directory."""

import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.support.announcements import Announcements, settled
from tests.support.mounts import mount_tmpfs, unmount
from tests.support.processes import about
from tests.support.standalone import Standalone, standalone
from tests.support.trove import Refused, Tenant

LOOPBACK = "127.0.0.1"


@contextmanager
def listening(port: int = 0) -> Iterator[int]:
    """Be a stranger who listens on a port (0: any) and says nothing."""
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind((LOOPBACK, port))
        stranger.listen(1)
        yield stranger.getsockname()[1]


def test_a_killed_server_is_seen_told_and_brought_back_with_its_data(coffer: Standalone) -> None:
    password = secrets.token_urlsafe(12)
    tenant = Tenant(coffer.url)
    instance_id = tenant.create_active(users={"alice": password})
    login = {"database": "shop", "user": "alice", "password": password}
    with tenant.log_in(instance_id, **login) as session:
        session.execute("create table sales as select 42 as n")

    coffer.kill_server(instance_id)

    tenant.wait_for_server(instance_id, "CRASHED")
    with pytest.raises(Refused) as refusal:
        tenant.api.databases.create(instance_id, [{"name": "stock"}])
    assert refusal.value.http_status == 500
    error = settled(coffer).only("database_create").error
    assert error["message"] == refusal.value.message
    assert error["message"] == "The database server of this instance is not running; restart the instance."
    assert (error["fault"], error["error_code"], error["dbname"]) == ("system", "guest_failed", "stock")

    tenant.api.instances.restart(instance_id)

    tenant.wait_for(instance_id, "ACTIVE")
    tenant.wait_for_server(instance_id, "HEALTHY")
    with tenant.log_in(instance_id, **login) as session:
        assert session.execute("select n from sales").fetchall() == [(42,)]
    tenant.api.databases.create(instance_id, [{"name": "stock"}])
    assert settled(coffer).of("database_create")[1].succeeded


def test_a_stranger_on_the_port_is_named_and_gone_again_forgotten(coffer: Standalone) -> None:
    tenant = Tenant(coffer.url)
    instance_id = tenant.create_active()
    port = tenant.show(instance_id)["port"]
    coffer.kill_server(instance_id)

    with listening(port):
        tenant.api.instances.restart(instance_id)
        error = settled(coffer).of("instance_restart")[0].error
        assert f"port {port} of {LOOPBACK} is taken by another process" in error["message"]
        assert error["fault"] == "system"
        tenant.wait_for_server(instance_id, "CRASHED")
        shown = tenant.show(instance_id)
        assert shown["status"] == "ACTIVE", "it may be tried again"
        assert shown["fault"]["message"] == error["message"]

    tenant.api.instances.restart(instance_id)
    assert settled(coffer).of("instance_restart")[1].succeeded
    tenant.wait_for_server(instance_id, "HEALTHY")
    assert "fault" not in tenant.show(instance_id)


def test_no_free_port_is_a_reason_that_a_tenant_can_read() -> None:
    with listening() as port:
        options = {"local_cloud": {"first_port": port, "last_port": port}}
        with standalone(options) as coffer:
            tenant = Tenant(coffer.url)
            instance_id = tenant.create()
            announced = failed_creation(coffer, instance_id, "There is no free port left on the machine")
            assert announced.only("instance_create").error["error_code"] == "cloud_failed"
            delete_the_failed(coffer, instance_id)


def file_in_its_place(coffer: Standalone) -> None:
    instances = coffer.state_dir / "instances"
    instances.rmdir()
    instances.touch()


def read_only(coffer: Standalone) -> None:
    mount_tmpfs(coffer.state_dir / "instances", "ro,mode=711")


def small(coffer: Standalone) -> None:
    # A new data directory takes about 40 MiB.
    mount_tmpfs(coffer.state_dir / "instances", "size=20m,mode=711")


BROKEN_PLACES: dict[Callable[[Standalone], None], str] = {
    file_in_its_place: "a file stands in its place",
    read_only: "the file system is read-only",
    small: "no space is left on the device",
}


@pytest.mark.parametrize("breaks", BROKEN_PLACES, ids=lambda breaks: breaks.__name__)
def test_a_place_that_cannot_be_used_is_told_and_the_control_plane_stays_well(
    coffer: Standalone, breaks: Callable[[Standalone], None]
) -> None:
    breaks(coffer)
    tenant = Tenant(coffer.url)

    instance_id = tenant.create(databases=["shop"])

    failed_creation(coffer, instance_id, BROKEN_PLACES[breaks])
    delete_the_failed(coffer, instance_id)
    mend(coffer)
    assert tenant.create_active()
    assert settled(coffer).of("instance_create")[1].succeeded


def test_below_the_reserve_of_free_space_nothing_is_made() -> None:
    with standalone({"local_cloud": {"min_free_gib": 1_000_000}}) as coffer:
        instance_id = Tenant(coffer.url).create()
        failed_creation(coffer, instance_id, "There is no space left on the machine for the instance.")
        delete_the_failed(coffer, instance_id)


def test_a_disk_that_fills_up_refuses_a_database_and_serves_on(coffer: Standalone) -> None:
    instances = coffer.state_dir / "instances"
    mount_tmpfs(instances, "size=90m,mode=711")
    password = secrets.token_urlsafe(12)
    tenant = Tenant(coffer.url)
    instance_id = tenant.create_active(users={"alice": password})
    login = {"database": "shop", "user": "alice", "password": password}
    filler = instances / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(b"\0" * shutil.disk_usage(instances).total)

    tenant.api.databases.create(instance_id, [{"name": "stock"}])

    error = settled(coffer).only("database_create").error
    assert "space" in error["message"]
    assert error["fault"] == "system"
    tenant.wait_until_it_takes(instance_id, **login)
    filler.unlink()
    tenant.api.databases.create(instance_id, [{"name": "stock"}])
    assert settled(coffer).of("database_create")[1].succeeded


def failed_creation(coffer: Standalone, instance_id: str, reason: str) -> Announcements:
    """Wait for a creation to fail with this reason, and look what everybody is told."""
    announced = settled(coffer)
    error = announced.of("instance_create")[-1].error
    assert reason in error["message"]
    assert error["fault"] == "system"
    assert error["instance_id"] == instance_id
    shown = Tenant(coffer.url).show(instance_id)
    assert shown["status"] == "ERROR"
    assert shown["fault"]["message"] == error["message"]
    assert coffer.condition()["is_well"], coffer.condition()
    return announced


def delete_the_failed(coffer: Standalone, instance_id: str) -> None:
    """Delete what could not be created, on the machine as it is."""
    tenant = Tenant(coffer.url)
    tenant.api.instances.delete(instance_id)
    ended = settled(coffer).of("instance_delete")[-1]
    assert ended.succeeded, ended.error["message"]
    assert tenant.status_of(instance_id) == "gone"
    assert not coffer.guest_dir(instance_id).exists()
    assert [each for each in about(coffer.root) if each.pid != coffer.pid] == []


def mend(coffer: Standalone) -> None:
    """Give the instances a proper directory again."""
    instances = coffer.state_dir / "instances"
    if instances.is_mount():
        unmount(instances)
    if instances.is_file():
        instances.unlink()
