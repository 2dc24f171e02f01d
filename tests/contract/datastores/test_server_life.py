"""Starting, stopping, killing and finding again a real PostgreSQL, and what can be wrong with a machine."""

import os
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.support.tenants import log_in, write_and_read
from tests.support.waiting import wait_for

from coffer.catalogue.errors import GuestFailed
from coffer.catalogue.states import ServiceStatus
from coffer.datastores.driver import DatabaseSpec, EngineSettings, Place, UserSpec
from coffer.datastores.postgresql import process
from coffer.datastores.postgresql.driver import PostgresqlDriver
from coffer.datastores.postgresql.layout import Layout
from coffer.datastores.postgresql.server import Patience, Server

NewDriver = Callable[..., tuple[Place, PostgresqlDriver]]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives an instance a user of its own")


def postmaster(place: Place) -> int:
    found = process.find(Layout(place))
    assert found is not None
    return found.pid


def kill(place: Place) -> None:
    pid = postmaster(place)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: process.find(Layout(place)) is None, 5, "the postmaster's death")


@contextmanager
def listener(port: int) -> Iterator[None]:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        yield


def test_prepare_makes_a_server_with_databases_and_users_and_again_changes_nothing(
    new_driver: NewDriver,
) -> None:
    place, driver = new_driver()
    assert driver.status() is ServiceStatus.NEW
    assert not driver.is_prepared()
    user = UserSpec("bob", "bob's", databases=("shop",))
    driver.prepare([DatabaseSpec("shop"), DatabaseSpec("other")], [user])
    driver.prepare([DatabaseSpec("not again")], [])
    assert driver.is_prepared()
    assert driver.status() is ServiceStatus.HEALTHY
    assert driver.list_databases() == ["other", "shop"]
    assert driver.list_access("bob", "%") == ["shop"]
    assert write_and_read(place, "bob", "bob's", "shop") == 42


def test_prepare_goes_on_after_an_attempt_that_broke(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    with pytest.raises(GuestFailed):
        replace_port_and_prepare(place)
    (place.directory / "data.new").mkdir()
    (place.directory / "data.new" / "half").touch()
    driver.prepare([DatabaseSpec("shop")], [UserSpec("bob", "old", databases=("shop",))])
    (place.directory / "prepared").unlink()
    driver.prepare([DatabaseSpec("shop")], [UserSpec("bob", "new", databases=("shop",))])
    assert write_and_read(place, "bob", "new", "shop") == 42


def replace_port_and_prepare(place: Place) -> None:
    with listener(place.port):
        PostgresqlDriver(place).prepare([], [])


def test_a_user_left_unfinished_by_a_dead_agent_does_not_block_the_name(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    driver.prepare([], [])
    with Server(place).session() as session:
        session.execute("create role bob")
        session.execute("comment on role bob is 'coffer: not finished'")
    assert driver.list_users() == []
    driver.create_user(UserSpec("bob", "secret"))
    assert [user.name for user in driver.list_users()] == ["bob"]


def test_stop_stays_stopped_and_start_brings_everything_back(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    driver.prepare([DatabaseSpec("shop")], [UserSpec("bob", "secret", databases=("shop",))])
    driver.stop()
    driver.stop()
    assert driver.status() is ServiceStatus.SHUTDOWN
    assert process.members(Layout(place)) == []
    for ask in (driver.list_databases, driver.list_users, driver.is_root_enabled):
        with pytest.raises(GuestFailed, match="not running"):
            ask()
    driver.start()
    assert driver.status() is ServiceStatus.HEALTHY
    assert write_and_read(place, "bob", "secret", "shop") == 42


def test_restart_gives_a_new_process_and_keeps_the_data(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    driver.prepare([DatabaseSpec("shop")], [])
    before = postmaster(place)
    driver.restart()
    assert postmaster(place) != before
    assert driver.list_databases() == ["shop"]


def test_a_second_driver_finds_the_server_and_can_stop_it(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    driver.prepare([DatabaseSpec("shop")], [])
    before = postmaster(place)
    second = PostgresqlDriver(place)
    assert second.is_prepared()
    second.start()
    assert postmaster(place) == before
    assert second.list_databases() == ["shop"]
    second.stop()
    assert driver.status() is ServiceStatus.SHUTDOWN
    assert process.members(Layout(place)) == []


def test_a_killed_server_is_crashed_and_comes_back_on_restart(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    driver.prepare([DatabaseSpec("shop")], [UserSpec("bob", "secret", databases=("shop",))])
    write_and_read(place, "bob", "secret", "shop")
    kill(place)
    assert driver.status() is ServiceStatus.CRASHED
    with pytest.raises(GuestFailed, match="not running"):
        driver.list_databases()
    driver.restart()
    assert driver.status() is ServiceStatus.HEALTHY
    with log_in(place, "bob", "secret", "shop") as session:
        assert session.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone() == (
            1,
        )


def test_a_frozen_server_is_not_healthy_and_can_be_stopped(new_driver: NewDriver) -> None:
    place, _ = new_driver()
    driver = PostgresqlDriver(place, Patience(start_s=20, fast_stop_s=0.5, immediate_stop_s=0.5, kill_s=5))
    driver.prepare([], [])
    os.kill(postmaster(place), signal.SIGSTOP)
    assert driver.status() is ServiceStatus.UNKNOWN
    driver.stop()
    assert process.members(Layout(place)) == []
    assert driver.status() is ServiceStatus.SHUTDOWN
    driver.start()
    assert driver.status() is ServiceStatus.HEALTHY


def test_a_pid_file_that_names_a_stranger_neither_misleads_nor_kills(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    driver.prepare([], [])
    pid_file = place.directory / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    kill(place)
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    assert driver.status() is ServiceStatus.CRASHED
    driver.stop()  # would end this very test
    driver.start()
    assert driver.status() is ServiceStatus.HEALTHY


@pytest.mark.parametrize("content", ["", "rubbish", "-1", "99999999999999999999", "0\n"])
def test_a_pid_file_of_rubbish_is_no_server(new_driver: NewDriver, content: str) -> None:
    place, driver = new_driver()
    driver.prepare([], [])
    kill(place)
    (place.directory / "data" / "postmaster.pid").write_text(content)
    assert driver.status() is ServiceStatus.CRASHED
    driver.restart()
    assert driver.status() is ServiceStatus.HEALTHY


def test_a_port_that_a_stranger_has_is_named(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    with listener(place.port), pytest.raises(GuestFailed, match=f"port {place.port} of 127.0.0.1 is taken"):
        driver.prepare([], [])
    assert process.members(Layout(place)) == []
    assert not driver.is_prepared()
    assert driver.status() is ServiceStatus.CRASHED


def test_an_engine_that_is_not_here_is_named_with_where_we_looked(new_driver: NewDriver) -> None:
    _, driver = new_driver(version="12")
    with pytest.raises(
        GuestFailed, match=r"PostgreSQL 12 is not installed on this host \(looked at .*/usr/lib"
    ):
        driver.prepare([], [])
    assert driver.status() is ServiceStatus.NEW


def test_a_directory_that_is_gone_is_a_reason_and_not_a_traceback(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    gone = PostgresqlDriver(replace(place, directory=place.directory / "gone"))
    with pytest.raises(GuestFailed, match="cannot be used: No such file"):
        gone.prepare([], [])
    assert driver.status() is ServiceStatus.NEW


def test_a_data_directory_full_of_something_else_is_refused_and_left_alone(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    (place.directory / "data").mkdir()
    (place.directory / "data" / "precious").touch()
    with pytest.raises(GuestFailed, match="could not be made: Directory not empty"):
        driver.prepare([], [])
    assert (place.directory / "data" / "precious").exists()


@as_root
def test_a_full_device_is_the_reason(new_driver: NewDriver, small_device: Path) -> None:
    place, _ = new_driver()
    directory = small_device / place.instance_id
    directory.mkdir(mode=0o711)
    full = PostgresqlDriver(replace(place, directory=directory))
    with pytest.raises(GuestFailed, match="no space is left on the device"):
        full.prepare([], [])
    assert full.status() is ServiceStatus.NEW


@pytest.fixture
def small_device(scratch_dir: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    import subprocess

    path = scratch_dir / "small"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)], check=False).returncode:
        pytest.skip("no right to mount a file system")
    path.chmod(0o711)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


@as_root
def test_the_server_runs_as_a_user_of_its_own_who_can_read_nothing_of_ours(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    neighbour, other = new_driver()
    driver.prepare([], [])
    other.prepare([], [])
    for pid in process.members(Layout(place)):
        status = Path(f"/proc/{pid}/status").read_text()
        assert f"Uid:\t{place.uid}\t{place.uid}\t{place.uid}\t{place.uid}" in status
        assert f"Gid:\t{place.gid}\t{place.gid}\t{place.gid}\t{place.gid}" in status
        assert "Groups:\t \n" in status or "Groups:\t\n" in status
    environment = Path(f"/proc/{postmaster(place)}/environ").read_bytes().strip(b"\0").split(b"\0")
    assert {word.split(b"=")[0] for word in environment} <= {b"PATH", b"PWD", b"PGDATA"}
    root = driver.enable_root(None)
    with log_in(place, root.name, root.password, "postgres") as session:
        for forbidden in (
            place.directory / "admin.secret",
            neighbour.directory / "data" / "PG_VERSION",
            neighbour.directory / "conf" / "pg_hba.conf",
            Path("/etc/shadow"),
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("select pg_read_file(%s)", (str(forbidden),))
        # A superuser's ALTER SYSTEM cannot move the server away from where the agent looks for it.
        session.execute("alter system set port = 1")
        session.execute("alter system set hba_file = '/tmp/open'")
    driver.restart()
    assert driver.status() is ServiceStatus.HEALTHY


@as_root
def test_an_installation_that_the_user_cannot_reach_is_copied_where_he_can(
    new_driver: NewDriver, scratch_dir: Path
) -> None:
    import shutil

    from coffer.datastores.postgresql.locator import locate

    here = locate("17", EngineSettings(engines_dir=scratch_dir / "engines")).bin_dir.parent
    closed = scratch_dir / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(here, closed / "pginstall", copy_function=os.link)
    settings = EngineSettings(engines_dir=scratch_dir / "engines", bin_dirs=(closed / "pginstall" / "bin",))
    _, driver = new_driver(engines=settings)
    driver.prepare([], [])
    assert driver.status() is ServiceStatus.HEALTHY
    _, second = new_driver(engines=settings)
    second.prepare([], [])
    assert len(list((scratch_dir / "engines").iterdir())) == 1


def test_secret_files_are_closed_and_the_password_file_of_initdb_is_gone(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    driver.prepare([], [])
    secret = (place.directory / "admin.secret").stat()
    assert stat.S_IMODE(secret.st_mode) == 0o600
    assert secret.st_uid == os.geteuid()
    assert sorted(path.name for path in place.directory.iterdir()) == [
        *("admin.secret", "conf", "data", "log", "prepared"),
    ]


def test_a_log_that_grew_too_large_keeps_its_end_and_goes_on(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    driver.prepare([], [])
    log = place.directory / "log" / "postgresql.log"
    with log.open("a") as stream:
        stream.write("x" * (33 * 1024 * 1024) + "\nthe end\n")
    driver.tend()
    assert log.stat().st_size < 100_000
    driver.restart()
    assert "the end" in log.read_text()
    assert "database system is shut down" in log.read_text()


def test_a_link_in_the_log_directory_leads_nowhere(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    driver.prepare([], [])
    driver.stop()
    victim = place.directory / "victim"
    victim.write_text("FATAL: not for the tenant " + "x" * (33 * 1024 * 1024))
    victim.chmod(0o600)
    log = place.directory / "log" / "postgresql.log"
    log.unlink()
    log.symlink_to(victim)
    size = victim.stat().st_size
    driver.tend()
    assert victim.stat().st_size == size
    if os.geteuid() == 0:
        with pytest.raises(GuestFailed) as failure:
            driver.start()
        assert "not for the tenant" not in failure.value.message
        assert victim.stat().st_size == size


def test_the_memory_of_the_flavor_is_the_servers(new_driver: NewDriver) -> None:
    place, driver = new_driver(ram_mib=256)
    driver.prepare([], [])
    with Server(place).session() as session:
        assert session.execute("show shared_buffers").fetchone() == ("64MB",)
        assert session.execute("show wal_level").fetchone() == ("replica",)
    driver.stop()
    bigger = PostgresqlDriver(replace(place, ram_mib=512))
    bigger.start()
    with Server(place).session() as session:
        assert session.execute("show shared_buffers").fetchone() == ("128MB",)
