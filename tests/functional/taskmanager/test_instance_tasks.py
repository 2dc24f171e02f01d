"""The tasks of instances, over real RPC: done once, and their runs end as they end."""

import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.plane import PROJECT, Plane
from tests.support.rows import new_instance
from tests.support.waiting import wait_for

from coffer.catalogue.errors import CloudFailed, GuestFailed
from coffer.catalogue.operations import OPERATIONS
from coffer.catalogue.states import InstanceState
from coffer.clouds.cloud import Server, ServerSpec
from coffer.clouds.local.cloud import LocalCloud
from coffer.clouds.local.flavors import DEFAULT_FLAVORS
from coffer.store import instances, runs
from coffer.store.runs import Run
from coffer.taskmanager.resume import context_of, resumer
from coffer.wire.context import TroveContext
from coffer.wire.contracts import TASKMANAGER, TaskmanagerClient

PASSWORD = "tiger-4711"
CALL_S = 20.0


class HookedCloud(LocalCloud):
    """The local cloud, in which something happens while a server is made."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def create(self, spec: ServerSpec) -> Server:
        server = super().create(spec)
        self.meanwhile()
        return server


def hooked(plane: Plane, root: Path) -> HookedCloud:
    return HookedCloud(root, DEFAULT_FLAVORS, plane.launcher, separate_users=False)


def begun(plane: Plane, operation: str, instance_id: str) -> TroveContext:
    """Begin a run as the API does, and return the context that its task gets."""
    ctx = TroveContext(project_id=PROJECT, user_id="u", overwrite=False)
    with plane.api.begin(
        ctx,
        OPERATIONS[operation],
        instance=plane.instance(instance_id),
        items=[{"instance_id": instance_id}],
    ) as beginning:
        pass
    return beginning.context


@pytest.fixture
def new_id() -> str:
    """The id of an instance that a test creates by itself."""
    return str(uuid.uuid4())


def creation(plane: Plane, instance_id: str) -> TroveContext:
    """Begin the creation of an instance as the API does, and return the context that its task gets."""
    ctx = TroveContext(project_id=PROJECT, user_id="u", overwrite=False)
    with plane.api.begin(
        ctx,
        OPERATIONS["instance_create"],
        instance_id=instance_id,
        items=[
            {
                "instance_id": instance_id,
                "name": "books",
                "flavor": "1",
                "datastore": "postgresql",
                "datastore_version": "17",
            }
        ],
    ) as beginning:
        instances.insert(beginning.tx, new_instance(id=instance_id, project_id=PROJECT))
    return beginning.context


def run_of(plane: Plane, ctx: TroveContext) -> Run:
    assert ctx.notification is not None
    with plane.database.reading() as tx:
        run = runs.get(tx, ctx.notification.run_id)
    assert run is not None
    return run


def do(plane: Plane, task: str, ctx: TroveContext, instance_id: str) -> object:
    """Have a task done and wait until it is: production casts it."""
    arguments: dict[str, Any] = {"databases": [], "users": []} if task == "create_instance" else {}
    client = TASKMANAGER.client(plane.rpc)
    return client.call(ctx, task, timeout_s=CALL_S, instance_id=instance_id, **arguments)


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

    assert plane.server(instance_id).done == ["prepare", "restart"]
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


# --- what comes too late --------------------------------------------------------------------------


def test_a_server_that_comes_after_the_deadline_is_not_prepared(
    sqlite_url: str, tmp_path: Path, new_id: str
) -> None:
    plane = Plane(sqlite_url, tmp_path / "cloud")
    cloud = plane.cloud = hooked(plane, tmp_path / "cloud")
    with plane:
        ctx = creation(plane, new_id)
        assert ctx.notification is not None
        run_id = ctx.notification.run_id
        cloud.meanwhile = lambda: plane.api.fail(run_id, CloudFailed(reason="too late"))

        do(plane, "create_instance", ctx, new_id)

        assert plane.told() == ["instance_create.start", "instance_create.error"]
        assert plane.server(new_id).done == []
        assert run_of(plane, ctx).handed_to is None
        assert plane.cloud.owned() == [new_id]
        plane.call("DELETE", f"/instances/{new_id}")
        plane.wait_until_idle()
        assert plane.cloud.owned() == []


def test_a_server_that_comes_after_its_instance_was_deleted_is_removed(
    sqlite_url: str, tmp_path: Path, new_id: str
) -> None:
    """The deletion found nothing to remove; nobody else would ever look for the server."""
    plane = Plane(sqlite_url, tmp_path / "cloud")
    cloud = plane.cloud = hooked(plane, tmp_path / "cloud")
    with plane:
        ctx = creation(plane, new_id)
        assert ctx.notification is not None
        run_id = ctx.notification.run_id

        def meanwhile() -> None:
            plane.api.fail(run_id, CloudFailed(reason="too late"))
            deletion = begun(plane, "instance_delete", new_id).notification
            assert deletion is not None
            plane.task.end(deletion.run_id)

        cloud.meanwhile = meanwhile

        do(plane, "create_instance", ctx, new_id)

        assert plane.cloud.owned() == []
        assert plane.open_runs() == []


# --- done again after a death ---------------------------------------------------------------------


def test_a_resumed_deletion_is_done_with_the_context_of_the_call(plane: Plane) -> None:
    instance_id = plane.active()
    ctx = begun(plane, "instance_delete", instance_id)
    plane.task.claim(run_of(plane, ctx).run_id)  # and dies
    with plane.database.writing() as tx:
        runs.adopt(tx, run_of(plane, ctx).run_id, "task-1", "task-2")

    resumer(TaskmanagerClient(plane.rpc))(run_of(plane, ctx))
    plane.wait_until_idle()

    assert plane.cloud.owned() == []
    start, end = (plane.event(f"dbaas.instance_delete.{phase}") for phase in ("start", "end"))
    assert start.context == end.context
    assert start.payload["request_id"] == end.payload["request_id"]


def test_the_context_of_a_stored_run_is_that_of_its_call(plane: Plane) -> None:
    instance_id = plane.active()
    ctx = begun(plane, "instance_delete", instance_id)

    assert context_of(run_of(plane, ctx)).to_dict() == ctx.to_dict()


def test_a_deletion_may_be_done_twice(plane: Plane) -> None:
    instance_id = plane.active()
    plane.cloud.delete(instance_id)
    ctx = begun(plane, "instance_delete", instance_id)

    do(plane, "delete_instance", ctx, instance_id)

    assert plane.told()[-2:] == ["instance_delete.end", "trove.instance.delete"]
