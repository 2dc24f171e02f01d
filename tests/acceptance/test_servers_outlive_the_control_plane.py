"""Database servers live on while the control plane is away, and are found again (kill -9, SIGTERM, a second start)."""

import secrets
import signal
from dataclasses import dataclass

import pytest
from tests.support.announcements import settled
from tests.support.processes import about, is_running
from tests.support.standalone import Standalone
from tests.support.trove import Tenant
from tests.support.waiting import wait_for


@dataclass(frozen=True, slots=True)
class Books:
    """An instance with a row in it, whose owner is alice."""

    coffer: Standalone
    id: str
    password: str

    def postmaster(self) -> int:
        """Return the process of the database server."""
        return self.coffer.postmaster(self.id)

    def tenant(self) -> Tenant:
        """Return alice at the control plane that runs now."""
        return Tenant(self.coffer.url)

    def rows(self) -> list[int]:
        """Write another row and return all of them."""
        with self.tenant().log_in(self.id, database="shop", user="alice", password=self.password) as session:
            session.execute("create table if not exists sales (n serial)")
            session.execute("insert into sales default values")
            return [n for (n,) in session.execute("select n from sales order by n").fetchall()]


@pytest.fixture
def books(coffer: Standalone) -> Books:
    """An instance that serves and has one row."""
    password = secrets.token_urlsafe(12)
    made = Books(coffer, Tenant(coffer.url).create_active(users={"alice": password}), password)
    assert made.rows() == [1]
    return made


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_same_server_serves_through_the_end_of_the_control_plane(
    books: Books, how: signal.Signals
) -> None:
    coffer, postmaster = books.coffer, books.postmaster()
    with books.tenant().log_in(books.id, database="shop", user="alice", password=books.password) as session:
        code = coffer.end(how)
        assert code == (-signal.SIGKILL if how is signal.SIGKILL else 0)
        assert session.execute("select n from sales").fetchall() == [(1,)]
        coffer.start()
        assert session.execute("select n from sales").fetchall() == [(1,)]

    assert books.postmaster() == postmaster
    assert books.rows() == [1, 2]
    work_goes_on(books)


def test_a_server_that_died_while_nobody_looked_is_brought_back(books: Books) -> None:
    coffer = books.coffer
    coffer.kill()
    coffer.kill_server(books.id)

    coffer.start()

    books.tenant().wait_until_it_takes(books.id, database="shop", user="alice", password=books.password)
    # A sequence forgets up to 32 numbers in a crash; the row before it is what counts.
    assert books.rows()[0] == 1
    work_goes_on(books)


def test_a_creation_under_way_at_a_clean_stop_ends_once(coffer: Standalone) -> None:
    instance_id = Tenant(coffer.url).create(databases=["shop"])
    wait_for((coffer.guest_dir(instance_id) / "data.new").exists, 60, "initdb to begin")

    assert coffer.stop() == 0
    coffer.start()

    run = settled(coffer).only("instance_create")
    tenant = Tenant(coffer.url)
    assert tenant.status_of(instance_id) == ("ACTIVE" if run.succeeded else "ERROR")
    tenant.api.instances.delete(instance_id)
    tenant.wait_until_gone(instance_id)
    settled(coffer)
    assert about(coffer.guest_dir(instance_id)) == []


def test_a_second_control_plane_on_the_same_directory_is_refused_in_a_sentence(coffer: Standalone) -> None:
    refused = coffer.run("standalone", "--port", "0")

    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr == f"coffer cannot start: another coffer runs on {coffer.state_dir}\n"
    assert coffer.condition()["is_well"], "the first one goes on"
    assert Tenant(coffer.url).api.instances.list() == []


def test_a_control_plane_that_stopped_leaves_no_process_but_the_servers(books: Books) -> None:
    coffer, postmaster = books.coffer, books.postmaster()
    url = coffer.url

    assert coffer.stop() == 0

    assert coffer.output.read_text() == f"coffer listens on {url}, its state is in {coffer.state_dir}\n"
    assert not (coffer.state_dir / "endpoint.json").exists()
    assert is_running(postmaster)
    left = about(coffer.root)
    owners = {each.uid for each in left}
    assert len(owners) == 1, left
    assert owners != {0}, "the server does not run as root"
    assert all(each.directory == str(coffer.guest_dir(books.id) / "data") for each in left), left


def work_goes_on(books: Books) -> None:
    """Restart, extend and delete the instance under the new control plane."""
    tenant = books.tenant()
    tenant.api.instances.restart(books.id)
    tenant.wait_for(books.id, "ACTIVE")
    tenant.api.databases.create(books.id, [{"name": "stock"}])
    books.coffer.settle()
    assert {each.name for each in tenant.api.databases.list(books.id)} == {"shop", "stock"}
    tenant.api.instances.delete(books.id)
    tenant.wait_until_gone(books.id)
    announced = settled(books.coffer)
    assert all(run.succeeded for run in announced.runs)
    assert [run.operation for run in announced.runs] == [
        *("instance_create", "instance_restart", "database_create", "instance_delete"),
    ]
    assert not books.coffer.guest_dir(books.id).exists()
    assert about(books.coffer.guest_dir(books.id)) == []
