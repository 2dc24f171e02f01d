"""Configuration groups, and the instances that are attached to them."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from tests.functional.operations.case import ANYTHING, Call, Row, Told
from tests.functional.operations.stage import Stage

Case = Generator[Call, Told, None]


def _values(stage: Stage, group_id: str) -> dict[str, Any]:
    shown = stage.call("GET", f"/configurations/{group_id}", answers=200)
    values: dict[str, Any] = shown["configuration"]["values"]
    return values


@contextmanager
def _attached(stage: Stage, **values: object) -> Generator[str, None, None]:
    """Attach the instance to a new group; after the block neither is left of it."""
    group_id = stage.group(**values)
    stage.attach(group_id)
    yield group_id
    stage.attach(None)
    stage.call("DELETE", f"/configurations/{group_id}")


# --- create and delete ------------------------------------------------------------------------------


def _create(stage: Stage, values: dict[str, object], *, answers: int = 200, error: str | None = None) -> Call:
    name = stage.name("group")
    datastore = {"type": "postgresql", "version": "17"}
    return Call(
        method="POST",
        path="/configurations",
        body={"configuration": {"name": name, "values": values, "datastore": datastore}},
        answers=answers,
        starts=[
            {"name": name, "datastore": "postgresql", "datastore_version": "17", "configuration_id": ANYTHING}
        ],
        error=error,
    )


def created(stage: Stage) -> Case:
    told = yield _create(stage, {"work_mem": "5MB"})
    group = told.answer["configuration"]
    assert group["id"] == told.start["configuration_id"]
    stage.attach(group["id"])
    assert stage.setting("work_mem") == "5MB"
    stage.attach(None)
    stage.call("DELETE", f"/configurations/{group['id']}")


def create_with_a_value_out_of_range(stage: Stage) -> Case:
    told = yield _create(stage, {"random_page_cost": -1}, answers=422, error="invalid_parameter")
    assert "random_page_cost" in told.error


def create_where_the_disk_is_full(stage: Stage) -> Case:
    with stage.full("configurations", "insert"):
        told = yield _create(stage, {"work_mem": "5MB"}, answers=500, error="internal_error")
    group_id = told.start["configuration_id"]
    assert stage.control.call("GET", f"/configurations/{group_id}")[0] == 404
    stage.call("DELETE", f"/configurations/{stage.group()}")


def _delete(group_id: str, *, answers: int = 202, error: str | None = None) -> Call:
    return Call(
        method="DELETE",
        path=f"/configurations/{group_id}",
        answers=answers,
        starts=[{"configuration_id": group_id}],
        error=error,
    )


def deleted(stage: Stage) -> Case:
    group_id = stage.group()
    yield _delete(group_id)
    assert stage.control.call("GET", f"/configurations/{group_id}")[0] == 404


def delete_of_one_that_is_in_use(stage: Stage) -> Case:
    with _attached(stage, work_mem="5MB") as group_id:
        yield _delete(group_id, answers=400, error="bad_request")
        assert stage.setting("work_mem") == "5MB"


def delete_where_the_disk_is_full(stage: Stage) -> Case:
    group_id = stage.group()
    with stage.full("configurations", "update"):
        yield _delete(group_id, answers=500, error="internal_error")
    assert _values(stage, group_id) == {"work_mem": "5MB"}
    stage.call("DELETE", f"/configurations/{group_id}")


# --- update and edit --------------------------------------------------------------------------------


def _update(
    group_id: str, values: dict[str, object], *, answers: int = 202, error: str | None = None, **labels: str
) -> Call:
    return Call(
        method="PUT",
        path=f"/configurations/{group_id}",
        body={"configuration": {"values": values, **labels}},
        answers=answers,
        starts=[{"configuration_id": group_id, **labels}],
        error=error,
    )


def updated(stage: Stage) -> Case:
    with _attached(stage, work_mem="5MB", random_page_cost=3) as group_id:
        labels = {"name": stage.name("group"), "description": "another one"}
        yield _update(group_id, {"work_mem": "6MB"}, **labels)
        assert _values(stage, group_id) == {"work_mem": "6MB"}
        assert (stage.setting("work_mem"), stage.setting("random_page_cost")) == ("6MB", "4")
        assert stage.state() == "ACTIVE"


def update_to_what_the_server_does_not_take(stage: Stage) -> Case:
    with _attached(stage, work_mem="5MB") as group_id:
        told = yield _update(group_id, {"TimeZone": "Mars/Olympus"}, answers=422, error="invalid_parameter")
        assert stage.instance_id in told.error
        assert stage.setting("work_mem") == "5MB"


def update_with_a_guest_away(stage: Stage) -> Case:
    with _attached(stage, work_mem="5MB") as group_id:
        with stage.guest_away():
            yield _update(group_id, {"work_mem": "6MB"}, answers=503, error="configuration_not_applied")
            assert stage.state() == "RESTART_REQUIRED"
            assert stage.setting("work_mem") == "5MB"
        stage.restart()
        assert stage.setting("work_mem") == "6MB"


def _edit(group_id: str, values: dict[str, object], *, answers: int = 200, error: str | None = None) -> Call:
    return Call(
        method="PATCH",
        path=f"/configurations/{group_id}",
        body={"configuration": {"values": values}},
        answers=answers,
        starts=[{"configuration_id": group_id}],
        error=error,
    )


def edited(stage: Stage) -> Case:
    with _attached(stage, work_mem="5MB") as group_id:
        yield _edit(group_id, {"random_page_cost": 3})
        assert _values(stage, group_id) == {"work_mem": "5MB", "random_page_cost": 3}
        assert (stage.setting("work_mem"), stage.setting("random_page_cost")) == ("5MB", "3")


def edit_of_what_is_no_parameter(stage: Stage) -> Case:
    group_id = stage.group()
    told = yield _edit(group_id, {"speed": "high"}, answers=422, error="invalid_parameter")
    assert "speed" in told.error
    stage.call("DELETE", f"/configurations/{group_id}")


def edit_with_a_guest_away(stage: Stage) -> Case:
    with _attached(stage, work_mem="5MB") as group_id:
        with stage.guest_away():
            told = yield _edit(group_id, {"work_mem": "6MB"}, answers=503, error="configuration_not_applied")
            assert stage.instance_id in told.error
            assert _values(stage, group_id) == {"work_mem": "6MB"}
            assert stage.state() == "RESTART_REQUIRED"
        stage.restart()
        assert stage.setting("work_mem") == "6MB"


# --- attach and detach ------------------------------------------------------------------------------


def _attach(stage: Stage, group_id: str, *, answers: int = 202, error: str | None = None) -> Call:
    return Call(
        method="PUT",
        path=stage.path,
        body={"instance": {"configuration": group_id}},
        answers=answers,
        starts=[{"instance_id": stage.instance_id, "configuration_id": group_id}],
        error=error,
    )


def attached(stage: Stage) -> Case:
    group_id = stage.group(work_mem="5MB")
    yield _attach(stage, group_id)
    assert stage.setting("work_mem") == "5MB"
    assert stage.control.show(stage.instance_id)["configuration"]["id"] == group_id
    stage.attach(None)
    stage.call("DELETE", f"/configurations/{group_id}")


def attach_of_what_the_flavor_does_not_hold(stage: Stage) -> Case:
    group_id = stage.group(shared_buffers="64GB")
    yield _attach(stage, group_id, answers=422, error="invalid_parameter")
    assert "configuration" not in stage.control.show(stage.instance_id)
    stage.call("DELETE", f"/configurations/{group_id}")


def attach_with_the_guest_away(stage: Stage) -> Case:
    group_id = stage.group(work_mem="5MB")
    with stage.guest_away():
        yield _attach(stage, group_id, answers=503, error="guest_unreachable")
        # Nobody knows whether the guest has heard: a restart gives the server what the instance shows.
        assert stage.state() == "RESTART_REQUIRED"
        assert "configuration" not in stage.control.show(stage.instance_id)
    stage.restart()
    assert stage.setting("work_mem") != "5MB"
    stage.attach(group_id)
    assert stage.setting("work_mem") == "5MB"
    stage.attach(None)
    stage.call("DELETE", f"/configurations/{group_id}")


def _detach(
    stage: Stage, *, instance_id: str | None = None, answers: int = 202, error: str | None = None
) -> Call:
    subject = instance_id or stage.instance_id
    return Call(
        method="PUT",
        path=f"/instances/{subject}",
        body={"instance": {"configuration": None}},
        answers=answers,
        starts=[{"instance_id": subject}],
        error=error,
    )


def detached(stage: Stage) -> Case:
    group_id = stage.group(work_mem="5MB")
    stage.attach(group_id)
    yield _detach(stage)
    assert stage.setting("work_mem") != "5MB"
    stage.call("DELETE", f"/configurations/{group_id}")


def detach_of_one_that_never_served(stage: Stage) -> Case:
    yield _detach(stage, instance_id=stage.broken_id, answers=422, error="wrong_state")


def detach_with_the_guest_away(stage: Stage) -> Case:
    with _attached(stage, work_mem="5MB") as group_id:
        with stage.guest_away():
            yield _detach(stage, answers=503, error="guest_unreachable")
            assert stage.control.show(stage.instance_id)["configuration"]["id"] == group_id
            assert stage.state() == "RESTART_REQUIRED"
        stage.restart()
        assert stage.setting("work_mem") == "5MB"


ROWS = (
    Row(
        operation="configuration_create",
        success=created,
        user_fault=create_with_a_value_out_of_range,
        system_fault=create_where_the_disk_is_full,
    ),
    Row(
        operation="configuration_delete",
        success=deleted,
        user_fault=delete_of_one_that_is_in_use,
        system_fault=delete_where_the_disk_is_full,
    ),
    Row(
        operation="configuration_update",
        success=updated,
        user_fault=update_to_what_the_server_does_not_take,
        system_fault=update_with_a_guest_away,
    ),
    Row(
        operation="configuration_edit",
        success=edited,
        user_fault=edit_of_what_is_no_parameter,
        system_fault=edit_with_a_guest_away,
    ),
    Row(
        operation="instance_attach_configuration",
        success=attached,
        user_fault=attach_of_what_the_flavor_does_not_hold,
        system_fault=attach_with_the_guest_away,
    ),
    Row(
        operation="instance_detach_configuration",
        success=detached,
        user_fault=detach_of_one_that_never_served,
        system_fault=detach_with_the_guest_away,
    ),
)
