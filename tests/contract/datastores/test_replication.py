"""Replicas of a real PostgreSQL: made, fed, restarted, backed up, dismissed."""

import json
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.contract.datastores.conftest import VERSIONS
from tests.support.archives import back_up, never
from tests.support.ports import free_port
from tests.support.replicas import Node, follow, replica, source
from tests.support.tenants import log_in
from tests.support.waiting import wait_for

from coffer.catalogue.errors import BadRequest, GuestFailed
from coffer.catalogue.states import ServiceStatus
from coffer.datastores.driver import Place, Role, Source
from coffer.datastores.postgresql import process
from coffer.datastores.postgresql.driver import PostgresqlDriver
from coffer.datastores.postgresql.layout import Layout
from coffer.datastores.postgresql.server import Server

NewDriver = Callable[..., tuple[Place, PostgresqlDriver]]
needs_incremental = pytest.mark.skipif(
    not {"17", "18"} & set(VERSIONS), reason="no PostgreSQL with incremental backups on this machine"
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives an instance a user of its own")


def postmaster(node: Node) -> int:
    found = process.find(Layout(node.place))
    assert found is not None
    return found.pid


def files_with(secret: str, place: Place) -> list[str]:
    """Return the names of an instance's files in which a text stands."""
    return sorted(
        path.name
        for path in place.directory.rglob("*")
        if path.is_file() and secret.encode() in path.read_bytes()
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_replica_has_everything_streams_and_is_read_only(new_driver: NewDriver, version: str) -> None:
    first = source(new_driver, version=version)
    second = replica(new_driver, first)
    assert second.words() == ["a"]
    first.add("b")
    second.gets("a", "b")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        second.add("c")
    assert [each.driver.status() for each in (first, second)] == [ServiceStatus.HEALTHY] * 2
    assert second.driver.is_prepared()
    states = [each.driver.replication() for each in (first, second)]
    assert [(each.role, each.is_streaming) for each in states] == [(Role.SOURCE, False), (Role.REPLICA, True)]
    assert [each.admitted for each in states] == [(second.id,), ()]
    for each in (first, second):
        assert [user.name for user in each.driver.list_users()] == ["bob"]
        assert each.driver.list_databases() == ["shop"]


def test_a_replica_stays_one_through_restarts_kills_and_another_agent(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second = replica(new_driver, first)
    second.driver.restart()
    os.kill(postmaster(second), 9)
    wait_for(lambda: process.find(Layout(second.place)) is None, 10, "the postmaster's death")
    assert second.driver.status() is ServiceStatus.CRASHED
    again = PostgresqlDriver(second.place)
    again.start()
    before = postmaster(second)
    PostgresqlDriver(second.place).start()
    assert postmaster(second) == before
    second.driver.keep_to_volume()
    second.driver.tend()
    second.driver.resize(256)
    first.add("b")
    second.gets("a", "b")
    second.driver.stop()
    # Neither what a superuser puts into the data nor what he takes away makes it something else.
    (second.place.directory / "data" / "standby.signal").unlink()
    (second.place.directory / "data" / "recovery.signal").touch()
    second.driver.start()
    assert second.driver.replication().role is Role.REPLICA


def test_a_source_does_not_become_a_replica_by_what_lies_in_its_data(new_driver: NewDriver) -> None:
    first = source(new_driver)
    first.driver.stop()
    (first.place.directory / "data" / "standby.signal").touch()
    first.driver.start()
    assert first.driver.replication().role is Role.SOURCE


def test_the_passwords_lie_where_they_must_and_nowhere_else(new_driver: NewDriver) -> None:
    first = source(new_driver)
    place, driver = new_driver(port=free_port())
    admitted = first.driver.admit_replica(place.instance_id)
    assert admitted.password not in repr(admitted)
    assert admitted.administrator_password not in repr(admitted)
    driver.replicate(admitted, is_given_up=never)
    driver.follow(admitted)
    assert files_with(admitted.password, place) == ["replica.secret"]
    assert files_with(admitted.password, first.place) == []
    assert files_with(admitted.administrator_password, place) == ["admin.secret"]
    found = (place.directory / "replica.secret").stat()
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_uid == (os.geteuid() if place.uid is None else place.uid)
    for pid in process.members(Layout(place)):
        seen = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert admitted.password.encode() not in seen


@as_root
def test_a_superuser_can_read_nobody_elses_password(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second, third = replica(new_driver, first), replica(new_driver, first)
    root = first.driver.enable_root(None)
    wait_for(second.driver.is_root_enabled, 20, "root on the replica")
    with log_in(second.place, root.name, root.password, "postgres") as session:
        for forbidden in (
            third.place.directory / "replica.secret",
            second.place.directory / "replica.json",
            second.place.directory / "admin.secret",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("select pg_read_file(%s)", (str(forbidden),))
    assert [user.name for user in second.driver.list_users()] == ["bob"]


def test_what_a_superuser_sets_does_not_turn_the_stream_away(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second = replica(new_driver, first)
    root = first.driver.enable_root(None)
    wait_for(second.driver.is_root_enabled, 20, "root on the replica")
    with log_in(second.place, root.name, root.password, "postgres") as session:
        session.execute("alter system set primary_conninfo = 'host=127.0.0.1 port=1'")
        session.execute("select pg_reload_conf()")
        wait_for(lambda: not second.driver.replication().is_streaming, 20, "the end of the stream")
        session.execute("select pg_wal_replay_pause()")
    follow(second, first)
    first.add("b")
    second.gets("a", "b")


def test_everything_may_be_asked_for_again(new_driver: NewDriver) -> None:
    first = source(new_driver)
    place, driver = new_driver(port=free_port())
    old = first.driver.admit_replica(place.instance_id)
    new = first.driver.admit_replica(place.instance_id)
    assert (old.user, old.slot) == (new.user, new.slot)
    with pytest.raises(GuestFailed, match="does not let this replica in") as failure:
        driver.replicate(old, is_given_up=never)
    for secret in (old.password, new.password, old.administrator_password):
        assert secret not in failure.value.message
    assert not driver.is_prepared()
    driver.replicate(new, is_given_up=never)
    driver.replicate(new, is_given_up=never)
    second = Node(place, driver)
    before = postmaster(second)
    driver.follow(new)
    driver.follow(first.driver.admit_replica(place.instance_id))
    assert postmaster(second) == before
    first.add("b")
    second.gets("a", "b")

    first.driver.dismiss_replica(place.instance_id)
    first.driver.dismiss_replica(place.instance_id)
    assert first.replicas_known() == []
    assert first.driver.replication().admitted == ()
    wait_for(lambda: not driver.replication().is_streaming, 20, "the end of the stream")
    assert second.words() == ["a", "b"]


def test_what_cannot_be_is_refused_with_a_reason(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second = replica(new_driver, first)
    stranger = source(new_driver, port=free_port())
    admitted = first.driver.admit_replica(second.id)
    with pytest.raises(BadRequest, match="no id"):
        first.driver.admit_replica("'; drop table words")
    for refused in (second.driver.admit_replica, second.driver.dismiss_replica):
        with pytest.raises(GuestFailed, match="only a source can have replicas"):
            refused(stranger.id)
    with pytest.raises(GuestFailed, match="only a source can be demoted"):
        second.driver.demote()
    with pytest.raises(GuestFailed, match="does not let this replica in"):
        second.driver.follow(replace(admitted, port=free_port()))
    with pytest.raises(GuestFailed, match="not have the data that this instance came from"):
        second.driver.follow(stranger.driver.admit_replica(second.id))
    first.add("b")
    second.gets("a", "b")


def test_a_replica_whose_making_is_given_up_leaves_nothing_running(new_driver: NewDriver) -> None:
    first = source(new_driver)
    place, driver = new_driver(port=free_port())
    admitted = first.driver.admit_replica(place.instance_id)
    with pytest.raises(GuestFailed, match="was stopped in the middle"):
        driver.replicate(admitted, is_given_up=lambda: True)
    layout = Layout(place)
    assert process.members(layout, layout.draft_dir) == []
    assert driver.status() is ServiceStatus.NEW
    driver.replicate(admitted, is_given_up=never)
    assert Node(place, driver).words() == ["a"]


def test_a_copy_leaves_the_reserve_of_the_disk_to_others(new_driver: NewDriver) -> None:
    first = source(new_driver)
    reserve_bytes = 2 * shutil.disk_usage(first.place.directory).free
    engines = replace(first.place.engines, reserve_bytes=reserve_bytes)
    place, driver = new_driver(port=free_port(), engines=engines)
    with pytest.raises(GuestFailed, match="no space is left on the machine"):
        driver.replicate(first.driver.admit_replica(place.instance_id), is_given_up=never)
    assert not Layout(place).draft_dir.exists()


def test_a_replica_gets_the_greater_limits_of_its_source(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second = replica(new_driver, first)
    for group in ({"max_connections": "60"}, {"max_connections": "70", "max_locks_per_transaction": "80"}):
        first.driver.apply_configuration(group)
        first.driver.restart()
        first.add("more")

        def is_fed() -> bool:
            second.driver.tend()
            return second.words() == first.words()

        wait_for(is_fed, 30, "the replica to go on")
        assert second.ask("show max_connections") == [group["max_connections"]]
    # Its own group does not make them smaller, nor does a crash keep it from coming back.
    second.driver.apply_configuration({"max_connections": "30"})
    second.driver.restart()
    assert second.ask("show max_connections") == ["70"]
    second.driver.stop()
    first.driver.apply_configuration({"max_connections": "90"})
    first.driver.restart()
    second.driver.start()
    wait_for(is_fed, 30, "the replica to go on")


def test_a_replica_that_stays_away_is_lost_and_the_source_keeps_its_space(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second = replica(new_driver, first)
    second.driver.stop()
    with Server(first.place).session() as session:
        assert session.execute("show max_slot_wal_keep_size").fetchone() == ("256MB",)
        session.execute("alter system set max_slot_wal_keep_size = '32MB'")
        session.execute("select pg_reload_conf()")
        for _ in range(12):
            session.execute("create temporary table waste (n int)")
            session.execute("drop table waste")
            session.execute("select pg_switch_wal()")
        session.execute("checkpoint")
        lost = session.execute("select wal_status from pg_replication_slots").fetchone()
        assert lost == ("lost",)
    second.driver.start()
    assert not second.driver.replication().is_streaming
    quick = PostgresqlDriver(second.place, replace(Server(second.place).patience, stream_s=5.0))
    with pytest.raises(GuestFailed, match=r"receives nothing from its source: .*removed"):
        quick.follow(first.driver.admit_replica(second.id))
    assert second.words() == ["a"]
    third = replica(new_driver, first)
    assert third.words() == ["a"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_full_backup_of_a_replica_makes_a_server_of_its_own(
    new_driver: NewDriver, tmp_path: Path, version: str
) -> None:
    first = source(new_driver, version=version)
    second = replica(new_driver, first)
    made = back_up(second.driver, tmp_path / "full")
    place, driver = new_driver(port=free_port(), version=version)
    driver.restore([made.archive], is_given_up=never)
    driver.prepare([], [])
    restored = Node(place, driver)
    assert restored.words() == ["a"]
    assert driver.replication().role is Role.SOURCE
    assert restored.replicas_known() == []
    restored.add("b")


@needs_incremental
def test_incremental_backups_of_a_replica_follow_each_other_at_once(
    new_driver: NewDriver, tmp_path: Path
) -> None:
    first = source(new_driver)
    second = replica(new_driver, first)
    chain = [back_up(second.driver, tmp_path / "full")]
    for name in ("b", "c"):
        first.add(name)
        chain.append(back_up(second.driver, tmp_path / name, parent=chain[-1]))
    place, driver = new_driver(port=free_port())
    driver.restore([each.archive for each in chain], is_given_up=never)
    driver.prepare([], [])
    assert Node(place, driver).words() == ["a", "b", "c"]
    first.driver.stop()
    with pytest.raises(GuestFailed, match="does not let this replica in"):
        back_up(second.driver, tmp_path / "without", parent=chain[-1])
    back_up(second.driver, tmp_path / "full again")


def test_what_is_kept_of_whom_a_replica_follows_is_no_secret(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second = replica(new_driver, first)
    kept = json.loads((second.place.directory / "replica.json").read_text())
    assert kept == {
        "address": "127.0.0.1",
        "port": first.place.port,
        "user": f"os_replica_{second.id.replace('-', '')}",
        "slot": f"replica_{second.id.replace('-', '')}",
        "is_leaving": False,
    }
    assert Source.__dataclass_fields__["password"].repr is False
