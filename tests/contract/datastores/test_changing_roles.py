"""Real PostgreSQL servers that change roles: promoted, demoted, re-pointed, rewound, detached, killed between."""

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import psycopg
import pytest
from tests.contract.datastores.conftest import VERSIONS
from tests.support.archives import never
from tests.support.ports import free_port
from tests.support.replicas import Node, Writer, follow, replica, source
from tests.support.tenants import log_in
from tests.support.waiting import wait_for

from coffer.catalogue.errors import GuestFailed
from coffer.catalogue.states import ServiceStatus
from coffer.datastores.driver import Place, Role
from coffer.datastores.postgresql import process
from coffer.datastores.postgresql.driver import PostgresqlDriver
from coffer.datastores.postgresql.layout import Layout
from coffer.datastores.postgresql.server import Patience, Server
from coffer.datastores.postgresql.standby import Standby

NewDriver = Callable[..., tuple[Place, PostgresqlDriver]]


def postmaster(node: Node) -> int:
    found = process.find(Layout(node.place))
    assert found is not None
    return found.pid


def kill(node: Node) -> None:
    os.kill(postmaster(node), signal.SIGKILL)
    wait_for(lambda: process.find(Layout(node.place)) is None, 10, "the postmaster's death")


def come_until_it_is_full(clients: ExitStack, place: Place) -> None:
    while True:
        clients.enter_context(log_in(place, "bob", "bob's", "shop"))


def leftovers(node: Node) -> list[str]:
    """Return what a source has no use for."""
    found = [path.name for path in node.place.directory.iterdir() if "replica" in path.name]
    return found + [path.name for path in (node.place.directory / "conf" / "conf.d").glob("*replica*")]


def system_of(node: Node) -> list[object]:
    return node.ask("select system_identifier from pg_control_system()")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_planned_change_loses_no_committed_transaction(new_driver: NewDriver, version: str) -> None:
    first = source(new_driver, version=version)
    second, third = replica(new_driver, first), replica(new_driver, first)
    with log_in(first.place, "bob", "bob's", "shop") as session:
        session.execute("create table numbers (number int)")
    writer = Writer(first.place)
    before = postmaster(third)
    with writer.writing():
        lsn = first.driver.demote()
        assert first.driver.demote() == lsn
    assert first.driver.status() is ServiceStatus.SHUTDOWN
    second.driver.promote(lsn)
    second.driver.promote(lsn)
    for other in (third, first):
        follow(other, second)
        follow(other, second)
    assert postmaster(third) == before

    with log_in(second.place, "bob", "bob's", "shop") as session:
        there = {number for (number,) in session.execute("select number from numbers")}
    assert writer.committed
    assert there >= set(writer.committed)
    second.add("b")
    for each in (first, third):
        each.gets("a", "b")
    roles = [each.driver.replication().role for each in (first, second, third)]
    assert roles == [Role.REPLICA, Role.SOURCE, Role.REPLICA]
    known = sorted(each.id.replace("-", "") for each in (first, third))
    assert second.replicas_known() == [f"os_replica_{short}" for short in known] + [
        f"replica_{short}" for short in known
    ]
    assert leftovers(second) == []
    for each in (first, third):
        assert each.ask("select slot_name from pg_replication_slots") == []
    for each in (first, second, third):
        each.driver.restart()
    second.add("c")
    first.gets("a", "b", "c")


def test_back_and_forth_and_back(new_driver: NewDriver) -> None:
    nodes = [source(new_driver)]
    nodes.append(replica(new_driver, nodes[0]))
    words = ["a"]
    for number in range(3):
        old, new = nodes[number % 2], nodes[(number + 1) % 2]
        new.driver.promote(old.driver.demote())
        follow(old, new)
        words.append(f"from {number}")
        new.add(words[-1])
        old.gets(*words)


def test_a_demoted_source_that_is_restarted_is_what_it_was(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second = replica(new_driver, first)
    first.driver.demote()
    first.driver.restart()
    assert first.driver.replication().role is Role.SOURCE
    first.add("b")
    second.gets("a", "b")


def test_a_killed_source_cannot_be_demoted_and_stays_down(new_driver: NewDriver) -> None:
    first = source(new_driver)
    kill(first)
    for _ in range(2):
        with pytest.raises(GuestFailed, match="did not end cleanly"):
            first.driver.demote()
        assert first.driver.status() is ServiceStatus.SHUTDOWN
    first.driver.restart()
    assert first.words() == ["a"]


def test_of_a_dead_sources_replicas_the_one_with_most_takes_its_place(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second, third = replica(new_driver, first), replica(new_driver, first)
    third.driver.stop()
    first.add("only second has it")
    second.gets("a", "only second has it")
    second.driver.stop()
    first.add("nobody has it")
    kill(first)
    for each in (second, third):
        each.driver.start()
    assert second.driver.replication().lsn > third.driver.replication().lsn
    assert not second.driver.replication().is_streaming

    second.driver.promote(None)
    follow(third, second)
    third.gets("a", "only second has it")
    # What came back from the dead is rewound: it has what nobody else has.
    follow(first, second)
    first.gets("a", "only second has it")
    second.add("b")
    for each in (first, third):
        each.gets("a", "b", "only second has it")


def test_a_replica_that_is_ahead_of_its_new_source_is_rewound(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second, third = replica(new_driver, first), replica(new_driver, first)
    third.driver.stop()
    first.add("only second has it")
    second.gets("a", "only second has it")
    kill(first)
    third.driver.start()
    third.driver.promote(None)
    follow(second, third)
    second.gets("a")
    third.add("b")
    second.gets("a", "b")


def test_a_running_source_that_should_follow_gives_up_what_it_has_alone(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second = replica(new_driver, first)
    second.driver.stop()
    first.add("first alone")
    kill(first)
    second.driver.start()
    second.driver.promote(None)
    first.driver.restart()
    first.add("first alone, again")
    second.add("b")
    follow(first, second)
    first.gets("a", "b")


def test_a_rewinding_that_broke_off_is_made_good_by_a_new_copy(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second = replica(new_driver, first)
    admitted = first.driver.admit_replica(second.id)
    second.driver.stop()
    (second.place.directory / "broken").touch()
    with pytest.raises(GuestFailed, match="are not whole"):
        second.driver.start()
    second.driver.follow(admitted)
    first.add("b")
    second.gets("a", "b")
    assert not (second.place.directory / "broken").exists()


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_new_copy_that_broke_off_is_begun_anew(new_driver: NewDriver, *, is_removed: bool) -> None:
    first = source(new_driver)
    second = replica(new_driver, first)
    second.driver.stop()
    (second.place.directory / "broken").touch()
    # Killed in the middle of removing the old data, or between that and the new data's becoming theirs.
    data_dir = Layout(second.place).data_dir
    shutil.rmtree(data_dir if is_removed else data_dir / "global")
    follow(second, first)
    first.add("b")
    second.gets("a", "b")
    assert not (second.place.directory / "broken").exists()


def test_a_group_that_replicas_cannot_have_hinders_no_change_of_roles(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second = replica(new_driver, first)
    group = {"default_transaction_isolation": "serializable", "idle_session_timeout": "1"}
    for each in (first, second):
        each.driver.apply_configuration(group)
    second.driver.promote(first.driver.demote())
    follow(first, second)
    assert first.driver.status() is ServiceStatus.HEALTHY
    group.pop("idle_session_timeout")  # of the tenant's own sessions
    for each in (first, second):
        each.driver.apply_configuration(group)
    first.gets("a")
    for each, level in ((first, "repeatable read"), (second, "serializable")):
        with log_in(each.place, "bob", "bob's", "shop") as session:
            assert session.execute("show transaction_isolation").fetchone() == (level,)


@pytest.mark.skipif(int(VERSIONS[0]) < 16, reason="older servers cannot keep connections for whom we name")
def test_clients_who_take_all_connections_keep_no_replica_out(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second = replica(new_driver, first)
    second.driver.promote(first.driver.demote())
    with ExitStack() as clients:
        with pytest.raises(psycopg.OperationalError, match="connection slots"):
            come_until_it_is_full(clients, second.place)
        follow(first, second)
    second.add("b")
    first.gets("a", "b")


def test_who_has_not_everything_is_not_promoted_and_goes_on(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second = replica(new_driver, first)
    impatient = PostgresqlDriver(second.place, Patience(receive_s=0.5))
    with pytest.raises(GuestFailed, match="has not received everything"):
        impatient.promote(first.driver.replication().lsn + 2**20)
    assert second.driver.replication().role is Role.REPLICA
    first.add("b")
    second.gets("a", "b")


def test_a_detached_replica_has_nothing_to_do_with_its_source(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second, third = replica(new_driver, first), replica(new_driver, first)
    shared = (second.place.directory / "admin.secret").read_text()
    second.driver.detach()
    second.driver.detach()
    first.driver.dismiss_replica(second.id)
    own = (second.place.directory / "admin.secret").read_text()
    assert own != shared == (first.place.directory / "admin.secret").read_text()
    with log_in(second.place, "os_admin", own, "postgres"):
        pass
    with pytest.raises(Exception, match="password authentication failed"):
        log_in(second.place, "os_admin", shared, "postgres")
    assert second.replicas_known() == []
    assert leftovers(second) == []
    assert not (second.place.directory / "admin.secret.next").exists()
    first.add("first's")
    second.add("second's")
    third.gets("a", "first's")
    assert second.words() == ["a", "second's"]
    fourth = replica(new_driver, second)
    assert fourth.words() == ["a", "second's"]
    second.driver.restart()
    assert second.driver.replication().role is Role.SOURCE


def test_a_promotion_is_finished_by_whoever_comes_after_a_killed_agent(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second, third = replica(new_driver, first), replica(new_driver, first)
    # Noted, and not yet done: it is still a replica, through a crash too.
    Standby(Layout(second.place)).leave()
    kill(second)
    second.driver.start()
    assert second.driver.replication().role is Role.REPLICA
    # Done, and not yet noted: it is a source, through a crash too.
    kill(first)
    with Server(second.place).session() as session:
        session.execute("select pg_promote()")
    kill(second)
    second.driver.start()
    assert second.driver.replication().role is Role.SOURCE
    assert leftovers(second)
    second.driver.promote(None)
    assert leftovers(second) == []
    assert second.replicas_known() == []
    follow(third, second)
    second.add("b")
    third.gets("a", "b")


def test_a_detaching_that_broke_off_between_two_passwords_is_finished(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second = replica(new_driver, first)
    server = Server(second.place)
    Standby(Layout(second.place)).leave()
    with server.session() as session:
        session.execute("select pg_promote()")
        server.expect_admin_password("another one")
        session.execute("alter role os_admin password 'another one'")
    assert PostgresqlDriver(second.place).status() is ServiceStatus.HEALTHY
    second.driver.detach()
    assert (second.place.directory / "admin.secret").read_text() != "another one"
    assert second.replicas_known() == []
    assert leftovers(second) == []


def test_a_copy_is_begun_anew_when_its_agent_was_killed_in_the_middle(new_driver: NewDriver) -> None:
    import subprocess

    first = source(new_driver)
    place, driver = new_driver(port=free_port())
    layout = Layout(place)
    layout.draft_dir.mkdir(mode=0o700)
    (layout.draft_dir / "half").touch()
    layout.give_to(layout.draft_dir, place.uid, place.gid)
    # What is left of a program that an agent before had begun.
    left = subprocess.Popen(
        ["/bin/sleep", "600"], cwd=layout.draft_dir, user=place.uid, group=place.gid, extra_groups=()
    )
    try:
        driver.replicate(first.driver.admit_replica(place.instance_id), is_given_up=never)
        assert left.wait(10) == -signal.SIGKILL
    finally:
        left.kill()
    assert Node(place, driver).words() == ["a"]
    assert not layout.draft_dir.exists()


def test_a_source_that_does_not_end_in_time_is_not_taken_for_a_clean_one(new_driver: NewDriver) -> None:
    first = source(new_driver)
    second = replica(new_driver, first)
    frozen = [pid for pid in process.members(Layout(second.place)) if b"walreceiver" in name_of(pid)]
    assert frozen
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        with log_in(first.place, "bob", "bob's", "shop") as session:
            # More than the kernel keeps for a receiver that does not read.
            session.execute("insert into words select md5(n::text) from generate_series(1, 400000) n")
        hasty = PostgresqlDriver(first.place, replace(Server(first.place).patience, fast_stop_s=1.0))
        with pytest.raises(GuestFailed, match="did not end cleanly"):
            hasty.demote()
        assert first.driver.status() is ServiceStatus.SHUTDOWN
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    first.driver.restart()
    wait_for(lambda: len(second.words()) == len(first.words()), 30, "the words on the replica")


def name_of(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as stream:  # noqa: PTH123 — a file of the kernel's
        return stream.read()
