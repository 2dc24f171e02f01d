"""Instances and their configuration groups over HTTP: who is told, who is marked, and what is refused."""

import json

import pytest
from tests.functional.api.groups import MISSING, applied, change, guest, made, put
from tests.functional.api.world import Reply, World

from coffer.catalogue.errors import GuestFailed, InvalidParameter
from coffer.catalogue.states import InstanceState
from coffer.lifecycle.emitter import utcnow
from coffer.store import configurations, instances


def test_attaching_tells_the_guest_and_then_the_row(world: World) -> None:
    instance = world.has()
    told = guest(world, instance.id, apply_configuration={"restart_required": False})
    group_id = made(world, work_mem="4MB", jit=False, max_connections=50)

    reply = put(world, instance.id, {"configuration": group_id, "name": "renamed"})

    assert (reply.status, reply.body) == (202, None)
    assert applied(told) == [{"work_mem": "4MB", "jit": "off", "max_connections": "50"}]
    row = world.row(instance.id)
    assert (row.configuration_id, row.state, row.name) == (group_id, InstanceState.ACTIVE, "renamed")
    shown = world.call("GET", f"/instances/{instance.id}").body["instance"]["configuration"]
    assert (shown["id"], shown["name"]) == (group_id, "fast")
    assert shown["links"][0]["href"].endswith(f"/configurations/{group_id}")
    (listed,) = world.call("GET", "/instances/detail").body["instances"]
    assert listed["configuration"]["name"] == "fast"

    again = put(world, instance.id, {"configuration": group_id})
    assert (again.status, again.title) == (400, "badRequest")
    assert world.events()[-1].payload["error_code"] == "bad_request"
    assert world.row(instance.id).state == InstanceState.ACTIVE


@pytest.mark.parametrize("body", [{}, {"configuration": None}])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_an_empty_change_detaches(world: World, method: str, body: object) -> None:
    group_id = made(world)
    instance = world.has(configuration_id=group_id, state=InstanceState.RESTART_REQUIRED)
    told = guest(world, instance.id, apply_configuration={"restart_required": False})

    reply = world.call(method, f"/instances/{instance.id}", {"instance": body})

    assert (reply.status, reply.body) == (202, None)
    assert applied(told) == [{}]
    row = world.row(instance.id)
    assert (row.configuration_id, row.state) == (None, InstanceState.ACTIVE)
    assert world.told()[-2:] == ["instance_detach_configuration.start", "instance_detach_configuration.end"]


def test_detaching_what_is_not_attached_is_done_already(world: World) -> None:
    instance = world.has()

    assert put(world, instance.id, {}).status == 202

    assert world.told() == ["instance_detach_configuration.start", "instance_detach_configuration.end"]


def test_a_group_of_another_version_does_not_fit(world: World) -> None:
    instance = world.has(datastore_version="15")
    group_id = made(world)

    reply = put(world, instance.id, {"configuration": group_id})

    assert (reply.status, reply.title) == (400, "badRequest")
    assert "postgresql 17" in reply.message
    assert world.told()[-2:] == [
        "instance_attach_configuration.start",
        "instance_attach_configuration.error",
    ]
    assert world.events()[-1].payload["fault"] == "user"


FAILURES = [
    (
        InvalidParameter(reason="The server does not take it: no such zone."),
        422,
        "invalid_parameter",
        "user",
        "ACTIVE",
    ),
    (GuestFailed(reason="The disk is full."), 500, "guest_failed", "system", "ACTIVE"),
    ({"restart": "perhaps"}, 500, "guest_failed", "system", "ACTIVE"),
    (None, 503, "guest_unreachable", "system", "RESTART_REQUIRED"),
]


@pytest.mark.parametrize(("answer", "status", "code", "fault", "state"), FAILURES)
def test_what_the_guest_does_not_take_is_not_attached(
    world: World, answer: object, status: int, code: str, fault: str, state: str
) -> None:
    instance = world.has()
    if answer is not None:
        guest(world, instance.id, apply_configuration=answer)
    group_id = made(world)

    reply = put(world, instance.id, {"configuration": group_id})

    assert reply.status == status
    error = world.events()[-1]
    assert error.event_type == "dbaas.instance_attach_configuration.error"
    assert error.severity == "error"
    assert (error.payload["error_code"], error.payload["fault"]) == (code, fault)
    assert (error.payload["instance_id"], error.payload["configuration_id"]) == (instance.id, group_id)
    row = world.row(instance.id)
    assert (row.configuration_id, row.state) == (None, state)
    assert row.fault_code is None
    assert world.open_runs() == []


@pytest.mark.parametrize("state", ["BUILD", "REBOOT", "RESIZE", "BACKUP", "SHUTDOWN", "ERROR"])
def test_only_usable_instances_are_attached(world: World, state: str) -> None:
    instance = world.has(state=InstanceState(state))
    group_id = made(world)

    reply = put(world, instance.id, {"configuration": group_id})

    assert (reply.status, reply.title) == (422, "unprocessableEntity")
    assert world.events()[-1].payload["error_code"] == "wrong_state"
    assert world.row(instance.id).state == state


def test_a_change_is_told_to_each_instance_and_marks_who_must_restart(world: World) -> None:
    group_id = made(world, work_mem="4MB")
    waits, goes_on, waited = (world.has(configuration_id=group_id) for _ in range(3))
    with world.database.writing() as tx:
        instances.update(tx, waited.id, utcnow(), state=InstanceState.RESTART_REQUIRED)
    guests = [
        guest(world, each.id, apply_configuration={"restart_required": each is waits})
        for each in (waits, goes_on, waited)
    ]

    assert change(world, "PATCH", group_id, values={"max_connections": 60}).status == 200

    assert [applied(each) for each in guests] == [[{"work_mem": "4MB", "max_connections": "60"}]] * 3
    states = [world.row(each.id).state for each in (waits, goes_on, waited)]
    assert states == [InstanceState.RESTART_REQUIRED, InstanceState.ACTIVE, InstanceState.ACTIVE]
    assert world.told()[-2:] == ["configuration_edit.start", "configuration_edit.end"]
    listed = world.call("GET", f"/configurations/{group_id}/instances?limit=2").body
    assert len(listed["instances"]) == 2
    assert "links" in listed
    assert set(listed["instances"][0]) == {"id", "name"}


def test_who_cannot_be_told_is_named_and_the_group_is_changed(world: World) -> None:
    group_id = made(world, work_mem="4MB")
    silent, broken, well = (world.has(configuration_id=group_id) for _ in range(3))
    guest(world, broken.id, apply_configuration=GuestFailed(reason="The disk is full."))
    guest(world, well.id, apply_configuration={"restart_required": False})

    reply = change(world, "PUT", group_id, values={"jit": False})

    assert (reply.status, reply.title) == (503, "serviceUnavailable")
    for named in (silent.id, broken.id):
        assert named in reply.message
    assert well.id not in reply.message
    error = world.events()[-1]
    assert (error.payload["error_code"], error.payload["fault"]) == ("configuration_not_applied", "system")
    assert error.payload["configuration_id"] == group_id
    with world.database.reading() as tx:
        group = configurations.find(tx, "project-1", group_id)
    assert group is not None
    assert json.loads(group.parameters) == {"jit": False}
    states = [world.row(each.id).state for each in (silent, broken, well)]
    assert states == [InstanceState.RESTART_REQUIRED, InstanceState.RESTART_REQUIRED, InstanceState.ACTIVE]


def test_what_one_server_would_not_start_with_is_told_to_none(world: World) -> None:
    group_id = made(world, work_mem="4MB")
    small, large = (world.has(configuration_id=group_id) for _ in range(2))
    refusal = InvalidParameter(reason="With these parameters the server needs more than its flavor has.")
    guests = [guest(world, small.id, check_configuration=refusal), guest(world, large.id)]

    reply = change(world, "PATCH", group_id, values={"shared_buffers": "1GB"})

    assert reply.status == 422
    assert small.id in reply.message
    assert [applied(each) for each in guests] == [[], []]
    assert world.events()[-1].payload["fault"] == "user"
    assert world.row(large.id).state == InstanceState.ACTIVE


def test_broken_instances_hinder_nobody_and_busy_ones_do(world: World) -> None:
    group_id = made(world)
    world.has(configuration_id=group_id, state=InstanceState.ERROR)
    world.has(configuration_id=group_id, state=InstanceState.SHUTDOWN)
    assert change(world, "PATCH", group_id, values={"jit": False}).status == 200

    busy = world.has(configuration_id=group_id, state=InstanceState.BUILD)
    reply = change(world, "PATCH", group_id, values={"jit": True})

    assert reply.status == 422
    assert busy.id in reply.message
    assert world.events()[-1].payload["error_code"] == "wrong_state"
    shown = world.call("GET", f"/configurations/{group_id}").body["configuration"]["values"]
    assert shown["jit"] is False


def test_an_attached_group_cannot_be_deleted(world: World) -> None:
    group_id = made(world)
    instance = world.has(configuration_id=group_id)

    reply = world.call("DELETE", f"/configurations/{group_id}")

    assert (reply.status, reply.title) == (400, "badRequest")
    assert world.told()[-2:] == ["configuration_delete.start", "configuration_delete.error"]
    with world.database.writing() as tx:
        configurations.attach(tx, instance.id, group_id, None, instance.updated_at)
    assert world.call("DELETE", f"/configurations/{group_id}").status == 202


def test_an_instance_is_created_with_a_group_of_its_version(world: World) -> None:
    world.start_taskmanager()
    group_id = made(world)
    asked = {"name": "books", "flavorRef": "1", "volume": {"size": 1}, "configuration": group_id}

    def instance(**changes: object) -> Reply:
        return world.call("POST", "/instances", {"instance": {**asked, **changes}})

    assert instance().body["instance"]["configuration"]["id"] == group_id
    before = len(world.events())
    assert instance(configuration=MISSING).status == 404
    assert instance(datastore={"type": "postgresql", "version": "15"}).status == 400
    assert len(world.events()) == before
    assert world.call("DELETE", f"/configurations/{group_id}").status == 400
