"""The tasks of instances, over real RPC: done once, and their runs end as they end."""

import logging
from pathlib import Path

import pytest
from tests.functional.taskmanager.tasks import begun, creation, do
from tests.support.plane import PROJECT, Plane
from tests.support.waiting import wait_for

from coffer.catalogue.errors import CloudFailed, GuestFailed
from coffer.catalogue.operations import OPERATIONS
from coffer.catalogue.states import InstanceState
from coffer.clouds.cloud import Server, ServerSpec
from coffer.clouds.local.cloud import LocalCloud
from coffer.store import instances
from coffer.wire.context import TroveContext
from coffer.wire.taskmanager_client import TaskmanagerClient

PASSWORD = "tiger-4711"


# --- the main job ---------------------------------------------------------------------------------


def test_a_created_instance_is_active_reachable_and_billed(plane: Plane) -> None:
    instance_id = plane.active(
        databases=[{"name": "shop"}],
        users=[{"name": "alice", "password": PASSWORD, "databases": [{"name": "shop"}]}],
    )

    row = plane.instance(instance_id)
    assert (row.host, row.port is not None) == ("127.0.0.1", True)
    assert None not in (row.server_id, row.volume_id, row.launched_at)
    assert plane.server(instance_id).databases == ["shop"]
    assert plane.server(instance_id).users["alice"].password == PASSWORD
    assert plane.told() == ["instance_create.start", "instance_create.end", "trove.instance.create"]
    fact = plane.event("trove.instance.create").payload
    assert fact["nova_instance_id"] == row.server_id
    assert fact["nova_volume_id"] == row.volume_id
    assert PASSWORD not in str(plane.events())


def test_the_ending_is_told_by_whom_the_specification_says(plane: Plane) -> None:
    instance_id = plane.active()
    plane.call("POST", f"/instances/{instance_id}/action", {"restart": {}})
    plane.wait_until_idle()
    plane.call("DELETE", f"/instances/{instance_id}")
    plane.wait_until_idle()

    told = {event.event_type: event.payload.get("server_type") for event in plane.events()}
    for name in ("instance_create", "instance_restart", "instance_delete"):
        assert told[f"dbaas.{name}.start"] == "api"
        assert told[f"dbaas.{name}.end"] == OPERATIONS[name].ended_by


def test_a_restart_restarts_the_server(plane: Plane) -> None:
    instance_id = plane.active()

    status, _ = plane.call("POST", f"/instances/{instance_id}/action", {"restart": {}})
    assert status == 202
    plane.wait_until_idle()

    assert plane.server(instance_id).done == ["prepare", "apply_configuration", "restart"]
    assert plane.instance(instance_id).state == InstanceState.ACTIVE
    assert plane.told()[-2:] == ["instance_restart.start", "instance_restart.end"]


def test_a_deleted_instance_is_gone_and_its_bill_ends(plane: Plane) -> None:
    instance_id = plane.active()

    plane.call("DELETE", f"/instances/{instance_id}")
    plane.wait_until_idle()

    assert plane.cloud.owned() == []
    row = plane.instance(instance_id)
    assert row.state == InstanceState.DELETED
    assert plane.told()[-3:] == ["instance_delete.start", "instance_delete.end", "trove.instance.delete"]
    fact = plane.event("trove.instance.delete").payload
    assert fact["created_at"] == plane.event("trove.instance.create").payload["created_at"]
    assert fact["deleted_at"] is not None
    assert plane.call("GET", f"/instances/{instance_id}")[0] == 404


# --- once -----------------------------------------------------------------------------------------


def test_a_task_that_is_delivered_twice_is_done_once(plane: Plane) -> None:
    instance_id = plane.active()
    ctx = begun(plane, "instance_restart", instance_id)
    taskmanager = TaskmanagerClient(plane.rpc)

    for _ in range(2):
        taskmanager.restart_instance(ctx, instance_id)
    plane.wait_until_idle()
    do(plane, "restart_instance", ctx, instance_id)

    assert plane.server(instance_id).done.count("restart") == 1
    assert plane.told()[-2:] == ["instance_restart.start", "instance_restart.end"]


def test_a_second_delivery_while_the_first_is_under_way_does_nothing(plane: Plane) -> None:
    instance_id = plane.active()
    ctx = begun(plane, "instance_restart", instance_id)
    server = plane.server(instance_id)
    # The second delivery comes, and is through, while the server restarts.
    server.before["restart"] = lambda: do(plane, "restart_instance", ctx, instance_id)

    do(plane, "restart_instance", ctx, instance_id)

    assert server.done.count("restart") == 1
    assert plane.told()[-2:] == ["instance_restart.start", "instance_restart.end"]


def test_a_creation_that_is_delivered_twice_is_prepared_once(plane: Plane, new_id: str) -> None:
    ctx = creation(plane, new_id)
    do(plane, "create_instance", ctx, new_id)
    do(plane, "create_instance", ctx, new_id)
    plane.wait_until_idle()

    assert plane.server(new_id).done == ["prepare"]
    assert plane.told() == ["instance_create.start", "instance_create.end", "trove.instance.create"]


def test_a_task_of_an_ended_run_is_not_begun(plane: Plane) -> None:
    instance_id = plane.active()
    ctx = begun(plane, "instance_restart", instance_id)
    assert ctx.notification is not None
    plane.api.fail(ctx.notification.run_id, CloudFailed(reason="too late"))

    do(plane, "restart_instance", ctx, instance_id)

    assert plane.server(instance_id).done == ["prepare"]


def test_a_task_without_a_run_is_refused_and_logged(plane: Plane, caplog: pytest.LogCaptureFixture) -> None:
    instance_id = plane.active()
    before = plane.told()

    do(plane, "restart_instance", TroveContext(project_id=PROJECT, overwrite=False), instance_id)

    assert "task refused: no run in its context task=restart_instance" in caplog.text
    assert plane.told() == before
    assert plane.server(instance_id).done == ["prepare"]


# --- failures -------------------------------------------------------------------------------------


def test_a_cloud_without_room_fails_the_creation_and_says_why(sqlite_url: str, tmp_path: Path) -> None:
    with Plane(sqlite_url, tmp_path / "cloud", min_free_gib=10**9) as plane:
        instance_id = plane.create()
        plane.wait_for_state(instance_id, InstanceState.ERROR)

        error = plane.event("dbaas.instance_create.error")
        assert error.severity == "error"
        assert (error.payload["error_code"], error.payload["fault"]) == ("cloud_failed", "system")
        assert error.payload["server_type"] == "task"
        assert plane.instance(instance_id).fault_message == error.payload["message"]
        assert plane.cloud.owned() == []
        assert plane.told() == ["instance_create.start", "instance_create.error"]


def test_a_guest_that_cannot_prepare_fails_the_creation(plane: Plane, new_id: str) -> None:
    ctx = creation(plane, new_id)
    plane.server(new_id).fails["prepare"] = GuestFailed(reason="The server does not start.")

    do(plane, "create_instance", ctx, new_id)
    plane.wait_until_idle()

    assert plane.instance(new_id).state == InstanceState.ERROR
    error = plane.event("dbaas.instance_create.error").payload
    assert (error["error_code"], error["server_type"]) == ("guest_failed", "conductor")
    assert error["message"] == "The server does not start."
    assert "trove.instance.create" not in plane.told()


def test_what_a_broken_creation_left_can_be_deleted_and_is_not_billed(plane: Plane, new_id: str) -> None:
    ctx = creation(plane, new_id)
    plane.server(new_id).fails["prepare"] = GuestFailed(reason="The server does not start.")
    do(plane, "create_instance", ctx, new_id)
    plane.wait_until_idle()

    assert plane.call("DELETE", f"/instances/{new_id}")[0] == 202
    plane.wait_until_idle()

    assert plane.cloud.owned() == []
    assert plane.told()[-2:] == ["instance_delete.start", "instance_delete.end"]
    assert not [name for name in plane.told() if name.startswith("trove.")]


def test_a_server_that_does_not_restart_is_told_and_can_be_tried_again(plane: Plane) -> None:
    instance_id = plane.active()
    plane.server(instance_id).fails["restart"] = GuestFailed(reason="The port is taken.")

    plane.call("POST", f"/instances/{instance_id}/action", {"restart": {}})
    plane.wait_until_idle()

    error = plane.event("dbaas.instance_restart.error").payload
    assert (error["error_code"], error["message"]) == ("guest_failed", "The port is taken.")
    assert error["server_type"] == "task"
    assert plane.instance(instance_id).fault_message == "The port is taken."

    plane.server(instance_id).fails.clear()
    plane.call("POST", f"/instances/{instance_id}/action", {"restart": {}})
    plane.wait_until_idle()
    assert plane.instance(instance_id).fault_message is None
    assert plane.told()[-1] == "instance_restart.end"


def test_a_guest_that_does_not_answer_is_told(plane: Plane) -> None:
    instance_id = plane.active()
    plane.launcher.stop(instance_id)
    plane.restart_timeout_s = 0.3
    ctx = begun(plane, "instance_restart", instance_id)

    with pytest.raises(Exception, match="did not answer"):
        do(plane, "restart_instance", ctx, instance_id)

    error = plane.event("dbaas.instance_restart.error").payload
    assert (error["error_code"], error["fault"]) == ("guest_unreachable", "system")


class BrokenCloud:
    """A cloud with a flaw in its code, which quotes what it was given."""

    def __init__(self, local: LocalCloud) -> None:
        self._local = local

    def __getattr__(self, name: str) -> object:
        return getattr(self._local, name)

    def create(self, spec: ServerSpec) -> Server:
        raise KeyError(f"{spec} with password={PASSWORD}")


def test_an_unknown_exception_ends_the_run_and_is_quoted_nowhere(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plane = Plane(sqlite_url, tmp_path / "cloud")
    plane.cloud = BrokenCloud(plane.local_cloud)  # type: ignore[assignment]  # whatever it lacks, the local cloud has
    with caplog.at_level(logging.DEBUG), plane:
        instance_id = plane.create(
            databases=[{"name": "shop"}],
            users=[{"name": "alice", "password": PASSWORD, "databases": [{"name": "shop"}]}],
        )
        plane.wait_for_state(instance_id, InstanceState.ERROR)

        error = plane.event("dbaas.instance_create.error").payload
        assert (error["error_code"], error["fault"]) == ("internal_error", "system")
        assert "(KeyError)" in str(error["message"])
        assert "ServerSpec" not in str(error)
        assert PASSWORD not in str(plane.events())
        wait_for(lambda: "rpc failed" in caplog.text, 10, "the traceback in the log")
    assert "KeyError" in caplog.text
    assert PASSWORD not in caplog.text
    assert caplog.text.count("Traceback") == 1


def test_a_flavor_that_is_no_longer_offered_fails_the_creation(plane: Plane, new_id: str) -> None:
    ctx = creation(plane, new_id)
    with plane.database.writing() as tx:
        instances.update(tx, new_id, plane.api.clock(), flavor_id="99")

    with pytest.raises(CloudFailed, match="Flavor 99"):
        do(plane, "create_instance", ctx, new_id)
    assert plane.event("dbaas.instance_create.error").payload["error_code"] == "cloud_failed"
