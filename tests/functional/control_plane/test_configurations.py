"""Configuration groups from the call to the running server and the events; and what fails."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.functional.control_plane.grouping import attach, change, group_of, status_of
from tests.support.control_plane import ControlPlane
from tests.support.waiting import wait_for

from coffer.catalogue.states import InstanceState
from coffer.store import instances
from coffer.wire.context import TroveContext
from coffer.wire.envelope import Notification

GUEST_S = 1.0


class Told:
    """What the calls of one block announced: runs, each with its start and its ending."""

    def __init__(self, control: ControlPlane) -> None:
        self._control = control
        self._before = len(control.events())

    @property
    def events(self) -> list[Notification]:
        return self._control.events()[self._before :]

    def only(self, operation: str) -> tuple[dict[str, Any], Notification]:
        """Return the payload of the start and the ending of the only run."""
        start, ending = self.events
        assert start.event_type == f"dbaas.{operation}.start"
        assert start.payload["run_id"] == ending.payload["run_id"]
        assert start.payload["request_id"] == ending.payload["request_id"]
        assert ending.payload["server_type"] == "api"
        assert self._control.open_runs() == []
        return dict(start.payload), ending

    def end(self, operation: str) -> dict[str, Any]:
        """Return the payload of its start, if it ended well."""
        start, ending = self.only(operation)
        assert (ending.event_type, ending.severity) == (f"dbaas.{operation}.end", "info")
        return start

    def error(self, operation: str, code: str, fault: str) -> str:
        """Return the reason of its failure."""
        _, ending = self.only(operation)
        assert (ending.event_type, ending.severity) == (f"dbaas.{operation}.error", "error")
        assert (ending.payload["error_code"], ending.payload["fault"]) == (code, fault)
        return str(ending.payload["message"])


@pytest.fixture
def plain(control: ControlPlane, instance_id: str) -> Iterator[str]:
    """The shared instance, detached and running before and after."""
    yield instance_id
    control.launcher.launch(control.guest_dir(instance_id))
    control.site.guest_timeouts_s = {}
    wait_for(lambda: attach(control, instance_id, None)[0] == 202, 60, "the instance to be detached")
    if status_of(control, instance_id) != "ACTIVE":
        assert control.action(instance_id, {"restart": {}}) == 202
        control.wait_for(instance_id, "ACTIVE")


def test_a_dynamic_group_counts_at_once_and_is_gone_when_it_is_detached(
    control: ControlPlane, plain: str
) -> None:
    group_id = group_of(control, random_page_cost=2.5, work_mem="3MB", jit=False)
    before = control.ask(plain, "show work_mem")

    told = Told(control)
    assert attach(control, plain, group_id) == (202, None)
    start = told.end("instance_attach_configuration")
    assert (start["instance_id"], start["configuration_id"]) == (plain, group_id)
    shown = control.show(plain)
    assert (shown["status"], shown["configuration"]["id"]) == ("ACTIVE", group_id)
    assert shown["configuration"]["name"] == "fast"
    assert control.ask(plain, "show work_mem") == "3MB"
    assert control.ask(plain, "show random_page_cost") == "2.5"
    assert control.ask(plain, "show jit") == "off"

    told = Told(control)
    assert control.call("PUT", f"/instances/{plain}", {"instance": {}}) == (202, None)
    assert told.end("instance_detach_configuration")["instance_id"] == plain
    assert "configuration" not in control.show(plain)
    assert control.ask(plain, "show work_mem") == before


def test_what_needs_a_restart_waits_for_it(control: ControlPlane, plain: str) -> None:
    group_id = group_of(control, max_connections=33)
    assert attach(control, plain, group_id)[0] == 202
    assert status_of(control, plain) == "RESTART_REQUIRED"
    assert control.ask(plain, "show max_connections") != "33"

    assert control.action(plain, {"restart": {}}) == 202
    control.wait_for(plain, "ACTIVE")
    assert control.ask(plain, "show max_connections") == "33"

    told = Told(control)
    assert change(control, "PATCH", group_id, max_connections=34, work_mem="5MB") == (200, None)
    told.end("configuration_edit")
    assert status_of(control, plain) == "RESTART_REQUIRED"
    assert control.ask(plain, "show work_mem") == "5MB"

    told = Told(control)
    assert change(control, "PUT", group_id, max_connections=33) == (202, None)
    told.end("configuration_update")
    # It runs with 33: nothing waits any more, and what the group lost is lost.
    assert status_of(control, plain) == "ACTIVE"
    assert control.ask(plain, "show work_mem") != "5MB"


def test_a_change_reaches_every_instance_of_the_group(control: ControlPlane, plain: str) -> None:
    group_id = group_of(control, work_mem="5MB")
    other = control.create_active(configuration=group_id)
    assert control.ask(other, "show work_mem") == "5MB"
    assert attach(control, plain, group_id)[0] == 202

    assert change(control, "PATCH", group_id, work_mem="4MB") == (200, None)

    assert [control.ask(each, "show work_mem") for each in (plain, other)] == ["4MB", "4MB"]
    status, body = control.call("GET", f"/configurations/{group_id}/instances")
    assert (status, {each["id"] for each in body["instances"]}) == (200, {plain, other})
    told = Told(control)
    assert control.call("DELETE", f"/configurations/{group_id}")[0] == 400
    assert "2 instance" in told.error("configuration_delete", "bad_request", "user")
    assert control.call("DELETE", f"/instances/{other}")[0] == 202
    wait_for(lambda: control.call("GET", f"/instances/{other}")[0] == 404, 60, "the instance to be gone")


def test_an_instance_is_created_with_parameters_that_need_a_restart(control: ControlPlane) -> None:
    group_id = group_of(control, max_connections=31)
    made = control.create_active(configuration=group_id)
    assert control.ask(made, "show max_connections") == "31"
    assert control.show(made)["configuration"]["id"] == group_id
    assert control.call("DELETE", f"/instances/{made}")[0] == 202
    wait_for(lambda: control.call("GET", f"/instances/{made}")[0] == 404, 60, "the instance to be gone")
    told = Told(control)
    assert control.call("DELETE", f"/configurations/{group_id}") == (202, None)
    assert told.end("configuration_delete")["configuration_id"] == group_id


def test_what_only_the_server_can_judge_is_the_callers_fault_and_changes_nothing(
    control: ControlPlane, plain: str
) -> None:
    fatal = group_of(control, shared_buffers="64GB")
    told = Told(control)
    status, body = attach(control, plain, fatal)
    assert status == 422
    assert "flavor has" in body["unprocessableEntity"]["message"]
    told.error("instance_attach_configuration", "invalid_parameter", "user")
    assert status_of(control, plain) == "ACTIVE"
    assert "configuration" not in control.show(plain)

    good = group_of(control, work_mem="5MB")
    attach(control, plain, good)
    told = Told(control)
    status, body = change(control, "PATCH", good, TimeZone="Mars/Olympus")
    assert status == 422
    assert plain in told.error("configuration_edit", "invalid_parameter", "user")
    assert control.call("GET", f"/configurations/{good}")[1]["configuration"]["values"] == {"work_mem": "5MB"}
    assert status_of(control, plain) == "ACTIVE"


def test_an_instance_that_was_away_has_the_change_after_its_next_restart(
    control: ControlPlane, plain: str
) -> None:
    group_id = group_of(control, work_mem="5MB")
    attach(control, plain, group_id)
    control.launcher.stop(plain)
    control.site.guest_timeouts_s = {"timeout_s": GUEST_S}

    told = Told(control)
    status, body = change(control, "PATCH", group_id, work_mem="6MB")

    assert status == 503
    assert plain in body["serviceUnavailable"]["message"]
    assert plain in told.error("configuration_edit", "configuration_not_applied", "system")
    assert control.call("GET", f"/configurations/{group_id}")[1]["configuration"]["values"] == {
        "work_mem": "6MB"
    }
    assert status_of(control, plain) == "RESTART_REQUIRED"

    # What it finds in its queue was given up meanwhile: it is the restart that brings the change.
    control.launcher.launch(control.guest_dir(plain))
    control.site.guest_timeouts_s = {}
    control.wait_until_healthy(plain)
    assert control.ask(plain, "show work_mem") == "5MB"
    assert control.action(plain, {"restart": {}}) == 202
    control.wait_for(plain, "ACTIVE")
    assert control.ask(plain, "show work_mem") == "6MB"


def test_a_server_that_is_down_starts_with_the_change(control: ControlPlane, plain: str) -> None:
    group_id = group_of(control, work_mem="5MB")
    attach(control, plain, group_id)
    control.site.guest(plain).stop(TroveContext(overwrite=False))

    assert change(control, "PATCH", group_id, work_mem="7MB") == (200, None)
    assert control.action(plain, {"restart": {}}) == 202
    control.wait_for(plain, "ACTIVE")

    assert control.ask(plain, "show work_mem") == "7MB"


def test_a_guest_that_dies_leaves_an_instance_that_its_tenant_can_repair(
    control: ControlPlane, plain: str
) -> None:
    group_id = group_of(control, work_mem="5MB")
    control.launcher.stop(plain)
    control.site.guest_timeouts_s = {"timeout_s": GUEST_S}

    told = Told(control)
    assert attach(control, plain, group_id)[0] == 503
    told.error("instance_attach_configuration", "guest_unreachable", "system")
    # Nobody knows whether it heard; a restart will tell it what holds.
    assert status_of(control, plain) == "RESTART_REQUIRED"
    assert "configuration" not in control.show(plain)

    control.launcher.launch(control.guest_dir(plain))
    control.site.guest_timeouts_s = {}
    assert control.action(plain, {"restart": {}}) == 202
    control.wait_for(plain, "ACTIVE")
    assert control.ask(plain, "show work_mem") != "5MB"
    assert attach(control, plain, group_id)[0] == 202


def test_a_busy_instance_keeps_its_group_as_it_is(control: ControlPlane, plain: str) -> None:
    group_id = group_of(control, work_mem="5MB")
    attach(control, plain, group_id)
    with control.database.writing() as tx:
        instances.update(tx, plain, control.api.clock(), state=InstanceState.RESIZE)

    told = Told(control)
    assert change(control, "PUT", group_id, work_mem="9MB")[0] == 422
    assert plain in told.error("configuration_update", "wrong_state", "user")
    told = Told(control)
    assert attach(control, plain, None)[0] == 422
    told.error("instance_detach_configuration", "wrong_state", "user")

    with control.database.writing() as tx:
        instances.update(tx, plain, control.api.clock(), state=InstanceState.ACTIVE)
    assert control.call("GET", f"/configurations/{group_id}")[1]["configuration"]["values"] == {
        "work_mem": "5MB"
    }
