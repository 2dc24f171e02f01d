"""Tasks that come too late, and tasks that are done again after a death."""

from pathlib import Path

from tests.functional.taskmanager.tasks import begun, creation, do, hooked, run_of
from tests.support.plane import Plane

from coffer.catalogue.errors import CloudFailed
from coffer.store import runs
from coffer.taskmanager.resume import context_of, resumer
from coffer.wire.taskmanager_client import TaskmanagerClient

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
        # Nobody will ever be billed for it, so nobody shall use it.
        assert plane.cloud.owned() == []
        assert plane.instance(new_id).server_id is None
        plane.call("DELETE", f"/instances/{new_id}")
        plane.wait_until_idle()
        assert plane.told()[-2:] == ["instance_delete.start", "instance_delete.end"]


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
