"""What a tenant does with configuration groups, with `openstack database` on a real server."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from keystoneauth1.exceptions import ClientException
from tests.support.announcements import ToldRun, settled
from tests.support.openstack import CommandFailed, OpenStack
from tests.support.standalone import Standalone, standalone
from tests.support.trove import Refused, Tenant
from tests.support.waiting import wait_for

from coffer.catalogue.events import Phase, operation_event
from coffer.catalogue.operations import OPERATIONS

PASSWORD = "s3cret-of-ann"


@dataclass(frozen=True, slots=True)
class Served:
    """An instance with the database `shop` and the user ann."""

    coffer: Standalone
    instance_id: str

    @property
    def tenant(self) -> Tenant:
        """The field's client."""
        return Tenant(self.coffer.url)

    @property
    def command(self) -> OpenStack:
        """The field's commands."""
        return OpenStack(self.coffer.url)

    def value_of(self, name: str) -> str:
        """Ask the server."""
        with self.tenant.log_in(self.instance_id, database="shop", user="ann", password=PASSWORD) as session:
            row = session.execute("select current_setting(%s)", (name,)).fetchone()
        assert row is not None
        return str(row[0])

    def create(self, name: str, values: str) -> str:
        """Create a group, return its id."""
        words = ("--datastore", "postgresql", "--datastore-version", "17")
        return str(self.command.read("configuration", "create", name, values, *words)["id"])

    def restart(self) -> None:
        """Restart the server and wait until it serves."""
        self.tenant.api.instances.restart(self.instance_id)
        self.tenant.wait_for(self.instance_id, "ACTIVE")

    def told(self, group_id: str) -> dict[str, list[ToldRun]]:
        """Return the runs that name a group, by operation, proven to say what the specification wants."""
        found: dict[str, list[ToldRun]] = {}
        for run in settled(self.coffer).runs:
            if run.ending["payload"].get("configuration_id") == group_id:
                found.setdefault(run.operation, []).append(run)
                _prove_traits(run)
        return found


def _prove_traits(run: ToldRun) -> None:
    ended = Phase.END if run.succeeded else Phase.ERROR
    for phase, event in ((Phase.START, run.start), (ended, run.ending)):
        expected = operation_event(OPERATIONS[run.operation], phase)
        required = {trait.field for trait in expected.traits if trait.required}
        assert required <= event["payload"].keys()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A control plane with an instance."""
    with standalone() as coffer:
        yield Served(coffer, Tenant(coffer.url).create_active(users={"ann": PASSWORD}))


def test_a_group_from_its_creation_to_its_end(served: Served) -> None:
    command, instance_id = served.command, served.instance_id
    group_id = served.create("reports", '{"work_mem": "5MB", "jit": false}')

    command.run("configuration", "attach", instance_id, "reports")
    assert (served.value_of("work_mem"), served.value_of("jit")) == ("5MB", "off")
    command.run("configuration", "parameter", "set", group_id, '{"max_connections": 33}')
    assert served.tenant.status_of(instance_id) == "RESTART_REQUIRED"
    assert [row["Name"] for row in command.read("configuration", "instances", "reports")] == ["books"]
    shown = command.read("configuration", "show", "reports")
    assert '"max_connections": 33' in shown["values"]
    assert shown["instance_count"] == 1

    served.restart()
    assert served.value_of("max_connections") == "33"

    command.run("configuration", "set", group_id, '{"max_connections": 33, "work_mem": "6MB"}')
    assert (served.value_of("work_mem"), served.value_of("jit")) == ("6MB", "on")
    with pytest.raises(CommandFailed, match="wrk_mem"):
        command.run("configuration", "parameter", "set", group_id, '{"wrk_mem": 1}')
    with pytest.raises(CommandFailed, match="attached"):
        command.run("configuration", "delete", "reports")
    command.run("configuration", "detach", instance_id)
    assert served.value_of("work_mem") != "6MB"
    command.run("configuration", "delete", "reports")

    told = served.told(group_id)
    assert {operation: [run.succeeded for run in runs] for operation, runs in told.items()} == {
        "configuration_create": [True],
        "instance_attach_configuration": [True],
        "configuration_edit": [True, False],
        "configuration_update": [True],
        "configuration_delete": [False, True],
    }
    assert told["configuration_edit"][1].error["error_code"] == "invalid_parameter"
    (detached,) = settled(served.coffer).of("instance_detach_configuration")
    assert detached.succeeded
    served.restart()


def test_what_there_is_can_be_read(served: Served) -> None:
    command = served.command
    version = served.tenant.api.datastore_versions.get("postgresql", "17").id
    rows = {row["Name"]: row for row in command.read("configuration", "parameter", "list", version)}
    assert rows["max_connections"]["Restart Required"] is True
    assert rows["work_mem"]["Type"] == "integer"
    assert "fsync" not in rows
    one = command.read("configuration", "parameter", "show", "17", "work_mem", "--datastore", "postgresql")
    assert (one["min"], one["unit"]) == (64, "kB")
    default = command.read("configuration", "default", served.instance_id)
    assert default["max_connections"] == served.value_of("max_connections")
    served.create("listed", "{}")
    (listed,) = [row for row in command.read("configuration", "list") if row["Name"] == "listed"]
    assert listed["Datastore Version Number"] == "17"


def test_a_control_plane_that_dies_in_a_change_leaves_what_a_restart_mends(served: Served) -> None:
    group_id = served.create("killed", '{"work_mem": "5MB"}')
    served.command.run("configuration", "attach", served.instance_id, group_id)
    _cut_short(
        served,
        "configuration_edit",
        lambda: served.tenant.api.configurations.edit(group_id, '{"work_mem": "7MB"}'),
    )

    assert served.tenant.status_of(served.instance_id) == "RESTART_REQUIRED"
    served.restart()
    assert served.value_of("work_mem") == "7MB"
    (run,) = served.told(group_id)["configuration_edit"]
    assert (run.error["error_code"], run.error["fault"]) == ("owner_died", "system")


def test_an_attachment_and_a_detachment_cut_short_can_be_made_again(served: Served) -> None:
    instance_id = served.instance_id
    served.tenant.api.instances.update(instance_id, remove_configuration=True)
    served.restart()
    plain = served.value_of("work_mem")
    group_id = served.create("cut", '{"work_mem": "9MB"}')
    changes = {
        "instance_attach_configuration": ({"configuration": group_id}, plain, "9MB"),
        "instance_detach_configuration": ({"remove_configuration": True}, "9MB", plain),
    }
    for operation, (change, before, after) in changes.items():

        def make(change: dict[str, Any] = change) -> None:
            served.tenant.api.instances.update(instance_id, **change)

        _cut_short(served, operation, make)

        assert served.tenant.status_of(instance_id) == "RESTART_REQUIRED"
        served.restart()
        assert served.value_of("work_mem") == before, "the row has not followed, so a restart takes it back"
        make()
        assert served.value_of("work_mem") == after
        runs = settled(served.coffer).of(operation)
        assert (runs[-2].error["error_code"], runs[-2].error["fault"]) == ("owner_died", "system")
        assert runs[-1].succeeded


def _cut_short(served: Served, operation: str, change: Callable[[], object]) -> None:
    """Kill the control plane in the middle of a change: a server that does not go on keeps it waiting."""
    pid = _postmaster(served)
    query = f"select 1 from runs where operation = '{operation}' and ended_at is null"

    def in_vain() -> None:
        with pytest.raises((Refused, ClientException)):
            change()

    os.kill(pid, signal.SIGSTOP)
    try:
        call = threading.Thread(target=in_vain)
        call.start()
        wait_for(lambda: served.coffer.rows(query), 30, "the change to begin")
        served.coffer.kill_and_start()
        call.join(60)
    finally:
        os.kill(pid, signal.SIGCONT)


def _postmaster(served: Served) -> int:
    return int(
        (served.coffer.guest_dir(served.instance_id) / "data" / "postmaster.pid").read_text().split()[0]
    )
