"""G7 and G9 at the guests' door, over real RPC: what a guest may say, and what it may not."""

import logging
import uuid
from typing import Any

import pytest
from tests.functional.conductor.door import Door, put, strangers
from tests.support.plane import PROJECT, Plane
from tests.support.rows import new_instance

from coffer.catalogue.errors import GuestFailed
from coffer.catalogue.operations import OPERATIONS
from coffer.catalogue.states import InstanceState
from coffer.catalogue.trace import MESSAGE_LIMIT, TRACE_LIMIT
from coffer.store import instances
from coffer.store.instances import Instance
from coffer.wire.conductor_client import ConductorClient
from coffer.wire.context import Ticket, TroveContext


def handed(plane: Plane, instance: Instance, dbname: str = "shop", to: str | None = None) -> TroveContext:
    """Begin a run that the guest of the instance is to end, and return its context."""
    ctx = TroveContext(project_id=PROJECT, user_id="u", client_ip="10.0.0.9:51234", overwrite=False)
    items = [{"instance_id": instance.id, "dbname": dbname}]
    with plane.api.begin(ctx, OPERATIONS["database_create"], instance=instance, items=items) as beginning:
        pass
    assert plane.api.hand_over(beginning.run.run_id, to or instance.id)
    return beginning.context


def run_id(ctx: TroveContext) -> str:
    assert ctx.notification is not None
    return ctx.notification.run_id


# --- what a guest may say -------------------------------------------------------------------------


def test_a_guest_ends_the_run_that_was_handed_to_it(plane: Plane, door: Door, instance: Instance) -> None:
    ctx = handed(plane, instance)

    ConductorClient(plane.rpc).notify_end(ctx, instance.id, {})
    plane.wait_until_idle()

    end = plane.event("dbaas.database_create.end")
    assert end.publisher_id == "conductor.control-1"
    assert end.payload["server_type"] == "conductor"
    assert end.payload["dbname"] == "shop"
    assert end.payload["run_id"] == run_id(ctx)


def test_a_guest_fails_the_run_that_was_handed_to_it(plane: Plane, instance: Instance) -> None:
    ctx = handed(plane, instance)
    value: dict[str, Any] = {
        "data": {"name": "shop"},
        "message": "A database with the name shop already exists.",
    }

    ConductorClient(plane.rpc).notify_exc_info(
        ctx,
        instance.id,
        "database_exists",
        value,
        "DatabaseExists: A database\n  at databases.py:7 in create",
    )
    plane.wait_until_idle()

    error = plane.event("dbaas.database_create.error").payload
    assert (error["error_code"], error["fault"]) == ("database_exists", "user")
    assert error["message"] == value["message"]
    assert str(error["exception"]).startswith(
        "database_exists: DatabaseExists: A database\n  at databases.py:7"
    )


def test_what_is_said_twice_counts_once(plane: Plane, door: Door, instance: Instance) -> None:
    ctx = handed(plane, instance)
    door.ended(ctx, instance.id)

    door.ended(ctx, instance.id)
    door.failed(ctx, instance.id)

    assert plane.told() == ["database_create.start", "database_create.end"]


# --- what it may not ------------------------------------------------------------------------------


def untouched(plane: Plane, ctx: TroveContext) -> None:
    assert plane.open_runs() == [run_id(ctx)]
    assert plane.told() == ["database_create.start"]


def test_a_guest_cannot_end_the_run_of_another(plane: Plane, door: Door, instance: Instance) -> None:
    ctx, other = handed(plane, instance), put(plane)

    door.ended(ctx, other.id)
    door.failed(ctx, other.id)

    untouched(plane, ctx)


@strangers
def test_nobody_cannot_end_a_run(plane: Plane, door: Door, instance: Instance, stranger: Any) -> None:
    """To the lifecycle, None means: it is no guest who ends the run, so it may be anybody's."""
    ctx = handed(plane, instance)

    door.ended(ctx, stranger)
    door.failed(ctx, stranger)

    untouched(plane, ctx)


def test_a_run_that_was_handed_to_nobody_is_no_guest_s_to_end(
    plane: Plane, door: Door, instance: Instance
) -> None:
    ctx = TroveContext(project_id=PROJECT, user_id="u", overwrite=False)
    items = [{"instance_id": instance.id, "dbname": "shop"}]
    with plane.api.begin(ctx, OPERATIONS["database_create"], instance=instance, items=items) as beginning:
        pass

    door.ended(beginning.context, instance.id)
    door.failed(beginning.context, instance.id)

    untouched(plane, beginning.context)


@pytest.mark.parametrize(
    "unknown", ["00000000-0000-4000-8000-000000000000", "", "\x00", "x" * 100_000, "' OR 1=1 --"]
)
def test_an_unknown_run_cannot_be_ended(
    plane: Plane, door: Door, instance: Instance, unknown: str, caplog: pytest.LogCaptureFixture
) -> None:
    ctx = TroveContext(notification=Ticket(run_id=unknown, operation="database_create"), overwrite=False)

    with caplog.at_level(logging.WARNING):
        door.ended(ctx, instance.id)
        door.failed(ctx, instance.id)

    assert plane.told() == []
    assert caplog.text.count("report refused") == 2
    assert "Traceback" not in caplog.text
    assert len(caplog.text) < 5_000


def test_an_ended_run_cannot_be_ended_again(plane: Plane, door: Door, instance: Instance) -> None:
    ctx = handed(plane, instance)
    plane.api.fail(run_id(ctx), GuestFailed(reason="It took too long."))

    door.ended(ctx, instance.id)

    assert plane.told() == ["database_create.start", "database_create.error"]


def test_whose_it_is_and_what_it_was_about_come_from_the_stored_run(
    plane: Plane, door: Door, instance: Instance
) -> None:
    ctx = handed(plane, instance)
    forged = TroveContext(
        project_id="victim",
        user_id="victim",
        request_id="req-forged",
        client_ip="6.6.6.6:6",
        is_admin=True,
        notification=Ticket(run_id=run_id(ctx), operation="instance_delete"),
        overwrite=False,
    )
    traits = {"tenant_id": "victim", "dbname": "other", "server_type": "api", "instance_id": "other", "x": 1}

    door.ended(forged, instance.id, traits)

    end = plane.event("dbaas.database_create.end")
    assert end.payload["tenant_id"] == PROJECT
    assert end.payload["dbname"] == "shop"
    assert end.payload["instance_id"] == instance.id
    assert end.payload["server_type"] == "conductor"
    assert end.payload["client_ip"] == "10.0.0.9:51234"
    assert end.payload["request_id"] == ctx.request_id
    assert end.context["project_id"] == PROJECT
    assert "victim" not in str(end)
    assert "forged" not in str(end)


def test_a_guest_s_words_are_bounded(plane: Plane, door: Door, instance: Instance) -> None:
    ctx = handed(plane, instance)

    door.failed(ctx, instance.id, "E" * 100_000, {"message": "m" * 3_000_000}, "t" * 3_000_000)

    error = plane.event("dbaas.database_create.error").payload
    assert len(str(error["message"])) == MESSAGE_LIMIT
    assert len(str(error["exception"])) == TRACE_LIMIT
    assert str(error["exception"]).startswith("E" * 100 + ": t")


def test_a_guest_s_words_are_visible_and_hold_no_secret(plane: Plane, door: Door, instance: Instance) -> None:
    ctx = handed(plane, instance)
    dirty = "\x1b[2Jno\x00 \u202e PASSWORD 'tiger-4711' said \"alice\"\r\nmore"

    door.failed(ctx, instance.id, "guest_failed", {"message": dirty}, dirty)

    error = plane.event("dbaas.database_create.error").payload
    for said in (str(error["message"]), str(error["exception"])):
        assert "tiger" not in said
        assert '"' not in said
        assert all(char.isprintable() or char == "\n" for char in said)
    assert error["message"] == " [2Jno    PASSWORD *** said 'alice' \nmore"


@pytest.mark.parametrize(
    "etype", ["owner_died", "quota_exceeded", "internal_error", "ValueError", "os.system", "", None, [], 7]
)
def test_a_guest_speaks_in_nobody_else_s_name(
    plane: Plane, door: Door, instance: Instance, etype: Any
) -> None:
    ctx = handed(plane, instance)

    door.failed(ctx, instance.id, etype)

    error = plane.event("dbaas.database_create.error").payload
    assert (error["error_code"], error["fault"]) == ("guest_failed", "system")


@pytest.mark.parametrize("value", [[], "text", 7, {"message": None}, {"message": ["x"]}, {"message": ""}, {}])
@pytest.mark.parametrize("trace", ["", None, ["x"], {"x": 1}])
def test_a_report_of_the_wrong_shape_still_ends_the_run(
    plane: Plane, door: Door, instance: Instance, value: Any, trace: Any
) -> None:
    ctx = handed(plane, instance)

    door.failed(ctx, instance.id, "guest_failed", value, trace)

    assert plane.open_runs() == []
    assert plane.event("dbaas.database_create.error").payload["message"]


# --- G9 -------------------------------------------------------------------------------------------


def test_a_context_without_a_notification_is_served_silently(
    plane: Plane, door: Door, instance: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    """An old guest's, or that of a guest whose old control plane sent none."""
    silent = TroveContext(overwrite=False)
    caplog.clear()

    with caplog.at_level(logging.INFO, logger="coffer"):
        door.ended(silent, instance.id)
        door.failed(silent, instance.id)

    assert plane.told() == []
    assert [record for record in caplog.records if record.name.startswith("coffer")] == []


def test_what_a_newer_guest_says_in_addition_is_skipped(plane: Plane, door: Door, instance: Instance) -> None:
    ctx = handed(plane, instance)

    door.says("notify_end", ctx, instance.id, traits={}, how_it_felt="good")

    assert plane.told() == ["database_create.start", "database_create.end"]


# --- launching ------------------------------------------------------------------------------------


def test_a_created_instance_is_launched_when_its_guest_says_so(plane: Plane, door: Door) -> None:
    instance_id = str(uuid.uuid4())
    ctx = TroveContext(project_id=PROJECT, user_id="u", overwrite=False)
    with plane.api.begin(
        ctx, OPERATIONS["instance_create"], instance_id=instance_id, items=[{"instance_id": instance_id}]
    ) as beginning:
        instances.insert(beginning.tx, new_instance(id=instance_id, project_id=PROJECT))
    plane.task.hand_over(beginning.run.run_id, instance_id)

    door.ended(beginning.context, instance_id)

    row = plane.instance(instance_id)
    assert row.state == InstanceState.ACTIVE
    assert row.launched_at is not None
    assert plane.told() == ["instance_create.start", "instance_create.end", "trove.instance.create"]
    assert plane.event("dbaas.instance_create.end").payload["instance_id"] == instance_id
    assert plane.event("trove.instance.create").payload["state"] == "active"


def test_another_operation_launches_nothing(plane: Plane, door: Door, instance: Instance) -> None:
    door.ended(handed(plane, instance), instance.id)

    assert plane.instance(instance.id).launched_at is None
    assert "trove.instance.create" not in plane.told()
