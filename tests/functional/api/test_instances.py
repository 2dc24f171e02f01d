"""Instances over HTTP: what is shown, what is announced, what is handed on."""

from datetime import timedelta

import pytest
from tests.functional.api.world import PROJECT, World

from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.lifecycle.emitter import utcnow


def test_an_active_instance_is_shown_with_where_it_is(world: World) -> None:
    instance = world.has()

    shown = world.call("GET", f"/instances/{instance.id}").body["instance"]

    assert (shown["status"], shown["operating_status"]) == ("ACTIVE", "HEALTHY")
    assert shown["ip"] == ["127.0.0.1"]
    assert shown["addresses"] == [{"address": "127.0.0.1", "type": "private", "network": None}]
    assert shown["port"] == 20001
    assert shown["created"] == "2026-03-29T12:00:00"
    assert "fault" not in shown
    assert not {"tenant_id", "server_id", "volume_id"} & shown.keys()


def test_an_admin_sees_what_is_the_operators_business(sqlite_url: str) -> None:
    with World(sqlite_url, roles=("admin",)) as world:
        instance = world.has(server_id="server-1")

        shown = world.call("GET", f"/instances/{instance.id}").body["instance"]

    assert shown["tenant_id"] == PROJECT
    assert shown["server_id"] == "server-1"


def test_a_silent_guest_is_shown_as_trouble(world: World) -> None:
    instance = world.has(service_seen_at=utcnow() - timedelta(seconds=91))

    shown = world.call("GET", f"/instances/{instance.id}").body["instance"]

    assert (shown["status"], shown["operating_status"]) == ("ACTIVE", "ERROR")


def test_a_crashed_server_is_shown_as_such(world: World) -> None:
    instance = world.has(service_status=ServiceStatus.CRASHED)

    shown = world.call("GET", f"/instances/{instance.id}").body["instance"]

    assert shown["operating_status"] == str(ServiceStatus.CRASHED)


def test_a_failed_instance_says_why(world: World) -> None:
    instance = world.has(
        state=InstanceState.ERROR, fault_code="cloud_failed", fault_message="No disk.", fault_at=utcnow()
    )

    shown = world.call("GET", f"/instances/{instance.id}").body["instance"]

    assert shown["status"] == "ERROR"
    assert shown["fault"]["message"] == "No disk."
    assert shown["fault"]["details"] is None


@pytest.mark.parametrize(
    "instance_id",
    ["0c3a2a2f-7f40-4c37-8dc0-3a3d4a7a9d11", "shop", "%00", "..%2f", "a" * 2000, "{id}", "NULL"],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_instance_is_not_found(world: World, method: str, instance_id: str) -> None:
    reply = world.call(method, f"/instances/{instance_id}")

    assert reply.status in {404, 501}
    assert reply.title == "itemNotFound" or "%2f" in instance_id
    assert world.events() == []


def test_another_projects_instance_looks_like_none(world: World) -> None:
    instance = world.has(project_id="project-2")

    theirs = world.call("GET", f"/instances/{instance.id}")
    nobodys = world.call("GET", "/instances/0c3a2a2f-7f40-4c37-8dc0-3a3d4a7a9d11")

    assert theirs.status == nobodys.status == 404
    assert theirs.message.replace(instance.id, "ID") == nobodys.message.replace(
        "0c3a2a2f-7f40-4c37-8dc0-3a3d4a7a9d11", "ID"
    )
    assert world.call("DELETE", f"/instances/{instance.id}").status == 404
    assert world.call("GET", "/instances").body == {"instances": []}


def test_a_deleted_instance_is_gone(world: World) -> None:
    instance = world.has(state=InstanceState.DELETED, deleted_at=utcnow())

    assert world.call("GET", f"/instances/{instance.id}").status == 404
    assert world.call("GET", "/instances").body == {"instances": []}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_an_instance_is_renamed_silently(world: World, method: str) -> None:
    instance = world.has()

    reply = world.call(method, f"/instances/{instance.id}", {"instance": {"name": "new"}})

    assert (reply.status, reply.body) == (202, None)
    assert world.row(instance.id).name == "new"
    assert world.events() == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"name": ""}, 400),
        ({"name": None}, 400),
        ({"name": "x" * 256}, 400),
        ({"colour": "red"}, 400),
        ({"configuration": "x", "replica_of": None}, 400),
        ({"replica_of": "x"}, 400),
        ({"configuration": "x", "name": "y"}, 404),
        ({"datastore_version": "18"}, 501),
        ({"access": {"is_public": True}}, 501),
    ],
)
def test_other_changes_are_refused_and_change_nothing(
    world: World, change: dict[str, object], status: int
) -> None:
    instance = world.has()

    reply = world.call("PUT", f"/instances/{instance.id}", {"instance": change})

    assert reply.status == status
    assert world.row(instance.id) == instance


def test_a_restart_moves_announces_and_hands_on(world: World) -> None:
    taskmanager = world.start_taskmanager()
    instance = world.has()

    reply = world.call("POST", f"/instances/{instance.id}/action", {"restart": {}})

    assert (reply.status, reply.body) == (202, None)
    (task,) = taskmanager.notes.casts(1)
    assert (task.method, task.args) == ("restart_instance", {"instance_id": instance.id})
    assert world.row(instance.id).state is InstanceState.REBOOT
    assert world.told() == ["instance_restart.start"]


def test_a_delete_moves_announces_and_hands_on(world: World) -> None:
    taskmanager = world.start_taskmanager()
    instance = world.has()

    reply = world.call("DELETE", f"/instances/{instance.id}")

    assert (reply.status, reply.body) == (202, None)
    (task,) = taskmanager.notes.casts(1)
    assert task.method == "delete_instance"
    assert world.row(instance.id).state is InstanceState.SHUTDOWN
    assert world.call("GET", f"/instances/{instance.id}").body["instance"]["status"] == "SHUTDOWN"
    assert world.told() == ["instance_delete.start"]


WRONG_STATE = [
    ("POST", "/action", {"restart": {}}, InstanceState.BUILD, "instance_restart"),
    ("POST", "/action", {"restart": {}}, InstanceState.ERROR, "instance_restart"),
    ("POST", "/action", {"restart": {}}, InstanceState.SHUTDOWN, "instance_restart"),
    ("DELETE", "", None, InstanceState.BUILD, "instance_delete"),
    ("DELETE", "", None, InstanceState.SHUTDOWN, "instance_delete"),
]


@pytest.mark.parametrize(("method", "path", "body", "state", "operation"), WRONG_STATE)
def test_a_wrong_state_is_an_announced_refusal(
    world: World, method: str, path: str, body: object, state: InstanceState, operation: str
) -> None:
    instance = world.has(state=state)

    reply = world.call(method, f"/instances/{instance.id}{path}", body)

    assert (reply.status, reply.title) == (422, "unprocessableEntity")
    assert state in reply.message
    assert world.told() == [f"{operation}.start", f"{operation}.error"]
    assert world.events()[1].payload["fault"] == "user"
    assert world.row(instance.id).state is state
    assert world.open_runs() == []


def test_a_restart_that_nobody_takes_leaves_the_instance_usable(world: World) -> None:
    instance = world.has()

    reply = world.call("POST", f"/instances/{instance.id}/action", {"restart": {}})

    assert reply.status == 503
    assert world.told() == ["instance_restart.start", "instance_restart.error"]
    assert world.row(instance.id).state is InstanceState.ACTIVE


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"restart": {"now": True}}, 400),
        ({"restart": None}, 400),
        ({"restart": {}, "resize": {}}, 400),
        ({}, 400),
        ([], 400),
        ({"dance": {}}, 501),
    ],
)
def test_an_action_is_known_or_refused(world: World, body: object, status: int) -> None:
    instance = world.has()

    assert world.call("POST", f"/instances/{instance.id}/action", body).status == status
    assert world.row(instance.id) == instance
    assert world.events() == []
