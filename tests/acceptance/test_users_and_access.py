"""What a tenant does with the users of an instance, with the field's own client on a real server.

Each call that changes something is told as one start and one ending an item, with the traits of the specification.
"""

import os
import secrets
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from tests.support.announcements import ToldRun, settled
from tests.support.openstack import CommandFailed, OpenStack
from tests.support.standalone import Standalone, standalone
from tests.support.trove import Refused, Tenant
from tests.support.waiting import wait_for

from coffer.catalogue.events import Phase, operation_event
from coffer.catalogue.operations import OPERATIONS

OF_ADMINISTRATORS = {"DEFAULT": {"noauth_roles": "admin,member,reader"}}


@dataclass(frozen=True, slots=True)
class Served:
    """An instance with two databases and the user ann, who may work in `shop`."""

    coffer: Standalone
    tenant: Tenant
    command: OpenStack
    instance_id: str
    password: str

    @property
    def users(self) -> Any:
        """The client's calls about users."""
        return self.tenant.api.users

    def lets_in(self, user: str, password: str, database: str) -> bool:
        """Return whether the server lets somebody in."""
        try:
            with self.tenant.log_in(self.instance_id, database=database, user=user, password=password):
                return True
        except psycopg.OperationalError:
            return False

    def new_user(self, *databases: str) -> str:
        """Make a user with the one password."""
        name = f"u.{secrets.token_hex(4)}"
        user = {"name": name, "password": self.password, "databases": [{"name": each} for each in databases]}
        self.users.create(self.instance_id, [user])
        self.coffer.settle()
        return name

    def told(self, operation: str, username: str) -> list[ToldRun]:
        """Return the runs of an operation on a user, each proven to say what the specification wants."""
        found = [
            run for run in settled(self.coffer).of(operation) if run.start["payload"]["username"] == username
        ]
        for run in found:
            prove_traits(run)
        assert self.password not in repr(found)
        return found


def prove_traits(run: ToldRun) -> None:
    """Hold both events of a run against the specification."""
    ended = Phase.END if run.succeeded else Phase.ERROR
    for phase, event in ((Phase.START, run.start), (ended, run.ending)):
        expected = operation_event(OPERATIONS[run.operation], phase)
        lacking = {trait.field for trait in expected.traits} - event["payload"].keys()
        assert not lacking, f"{expected.event_type} lacks {lacking}"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with standalone(OF_ADMINISTRATORS) as coffer:
        tenant = Tenant(coffer.url)
        password = f"canary-{secrets.token_urlsafe(12)}"
        instance_id = tenant.create_active(databases=["shop", "orders"], users={"ann": password})
        yield Served(coffer, tenant, OpenStack(coffer.url), instance_id, password)
        assert password not in coffer.log_text()
        assert password not in repr(coffer.events())
        assert coffer.rows(f"select count(*) from runs where traits like '%{password}%'") == [(0,)]


def test_a_user_is_granted_what_is_there_and_told_what_is_not(served: Served) -> None:
    name = served.new_user()

    served.users.grant(served.instance_id, name, ["shop", "nowhere", "orders"])

    assert [each.name for each in served.users.list_access(served.instance_id, name)] == ["orders", "shop"]
    assert served.lets_in(name, served.password, "orders")
    runs = served.told("user_grant", name)
    by_database = {run.start["payload"]["database"]: run for run in runs}
    assert {each: run.succeeded for each, run in by_database.items()} == {
        "shop": True,
        "nowhere": False,
        "orders": True,
    }
    assert len({run.start["payload"]["request_id"] for run in runs}) == 1
    assert (by_database["nowhere"].error["error_code"], by_database["nowhere"].error["fault"]) == (
        "not_found",
        "user",
    )
    assert {run.ending["payload"]["server_type"] for run in runs} == {"api"}


def test_a_revocation_shuts_one_door(served: Served) -> None:
    name = served.new_user("shop", "orders")

    served.users.revoke(served.instance_id, name, "shop")

    assert not served.lets_in(name, served.password, "shop")
    assert served.lets_in(name, served.password, "orders")
    (run,) = served.told("user_revoke", name)
    assert (run.succeeded, run.ending["payload"]["database"]) == (True, "shop")
    with pytest.raises(Refused) as refusal:
        served.users.revoke(served.instance_id, name, "shop")
    assert refusal.value.http_status == 404
    assert served.told("user_revoke", name)[1].error["error_code"] == "not_found"


def test_a_user_gets_another_name_and_password_and_keeps_the_rest(served: Served) -> None:
    old = served.new_user("shop")
    new, password = f"{old}'s heir", f"{served.password}-new"

    served.users.update_attributes(served.instance_id, old, {"name": new, "password": password})
    served.coffer.settle()

    assert served.lets_in(new, password, "shop")
    assert not served.lets_in(new, served.password, "shop")
    assert not served.lets_in(old, served.password, "shop")
    (run,) = served.told("user_update_attributes", old)
    assert (run.succeeded, run.ending["payload"]["server_type"]) == (True, "conductor")
    with pytest.raises(Refused) as refusal:
        served.users.update_attributes(served.instance_id, new, {"name": "ann"})
    assert refusal.value.http_status == 400
    assert served.told("user_update_attributes", new)[0].error["error_code"] == "user_exists"


def test_of_several_passwords_each_is_a_run_of_its_own(served: Served) -> None:
    one, two = served.new_user("shop"), served.new_user("shop")
    password = f"{served.password}-other"

    served.users.change_passwords(
        served.instance_id, [{"name": each, "password": password} for each in (one, "nobody", two)]
    )
    served.coffer.settle()

    assert served.lets_in(one, password, "shop")
    assert served.lets_in(two, password, "shop")
    runs = [run for each in (one, "nobody", two) for run in served.told("user_change_password", each)]
    assert [run.succeeded for run in runs] == [True, False, True]
    assert len({run.start["payload"]["request_id"] for run in runs}) == 1


def test_the_command_line_shows_grants_revokes_and_renames(served: Served) -> None:
    command, instance_id = served.command, served.instance_id
    name = served.new_user("shop")

    command.run("user", "grant", "access", "books", name, "orders")
    assert command.read("user", "show", "access", "books", name) == [{"Name": "orders"}, {"Name": "shop"}]
    command.run("user", "revoke", "access", "books", name, "shop")
    assert command.read("user", "show", instance_id, name)["databases"] == [{"name": "orders"}]
    command.run("user", "update", "attributes", "books", name, "--new_name", f"{name}2")
    served.coffer.settle()
    assert {"Name": f"{name}2", "Host": "%", "Databases": "orders"} in command.read("user", "list", "books")
    refusals = {
        "User nobody cannot be found": ("user", "grant", "access", "books", "nobody", "shop"),
        "already exists": ("user", "update", "attributes", "books", f"{name}2", "--new_name", "ann"),
        "have no hosts": ("user", "update", "attributes", "books", f"{name}2", "--new_host", "10.0.0.1"),
    }
    for sentence, words in refusals.items():
        with pytest.raises(CommandFailed, match=sentence):
            command.run(*words)


def test_the_command_line_enables_and_disables_root(served: Served) -> None:
    command = served.command
    with pytest.raises(CommandFailed, match="404"):
        command.run("root", "disable", "books")
    password = command.read("root", "enable", "books")["password"]
    assert served.lets_in("postgres", password, "postgres")
    assert command.read("root", "show", "books") == {"is_root_enabled": True}

    command.run("root", "disable", "books")

    assert command.read("root", "show", "books") == {"is_root_enabled": False}
    assert not served.lets_in("postgres", password, "postgres")
    assert password not in served.coffer.log_text() + repr(served.coffer.events())


def test_an_administrator_lists_and_reboots_by_the_command_line(served: Served) -> None:
    other = OpenStack(served.coffer.url, project="the-operators")
    (row,) = other.read("instance", "list", "--all-projects")
    assert (row["ID"], row["Tenant ID"]) == (served.instance_id, "acme")
    assert other.read("instance", "list", "--project-id", "nobody") == []

    other.run("instance", "reboot", served.instance_id)

    run = settled(served.coffer).only("instance_restart")
    assert run.succeeded
    assert run.start["payload"]["tenant_id"] == "acme"
    with pytest.raises(CommandFailed, match="501"):
        other.run("instance", "rebuild", served.instance_id, "an-image")


def test_with_the_server_down_each_run_ends_as_our_fault_and_the_instance_can_be_mended(
    served: Served,
) -> None:
    name = served.new_user("shop")
    pid_file = served.coffer.guest_dir(served.instance_id) / "data" / "postmaster.pid"
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
    served.tenant.wait_for_server(served.instance_id, "CRASHED")
    new = {"name": name, "password": served.password}
    calls = {
        "user_grant": lambda: served.users.grant(served.instance_id, name, ["orders"]),
        "user_revoke": lambda: served.users.revoke(served.instance_id, name, "shop"),
        "user_update_attributes": lambda: served.users.update_attributes(served.instance_id, name, new),
        "user_change_password": lambda: served.users.change_passwords(served.instance_id, [new]),
    }
    for operation, call in calls.items():
        with pytest.raises(Refused) as refusal:
            call()
        assert refusal.value.http_status == 500
        (run,) = served.told(operation, name)
        assert (run.error["error_code"], run.error["fault"]) == ("guest_failed", "system")
        assert served.tenant.show(served.instance_id)["status"] == "ACTIVE"

    served.tenant.api.instances.restart(served.instance_id)
    served.coffer.settle()
    wait_for(lambda: served.lets_in(name, served.password, "shop"), 30, "the server to serve again")
    for call in calls.values():
        call()
    served.coffer.settle()
    assert served.lets_in(name, served.password, "orders")
