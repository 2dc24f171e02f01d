"""Configuration groups over HTTP: what is shown, what is refused and how, and who is told."""

import json
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.functional.api.world import GuestDouble, Reply, World

from coffer.catalogue.errors import GuestFailed, InvalidParameter
from coffer.catalogue.states import InstanceState
from coffer.lifecycle.emitter import utcnow
from coffer.store import configurations, instances
from coffer.wire.context import TroveContext

MISSING = str(uuid.uuid4())


def create(world: World, name: str = "fast", **changes: Any) -> Reply:
    asked = {
        "name": name,
        "values": {"work_mem": "4MB"},
        "datastore": {"type": "postgresql", "version": "17"},
    }
    return world.call("POST", "/configurations", {"configuration": {**asked, **changes}})


def made(world: World, **values: object) -> str:
    reply = create(world, values=values or {"work_mem": "4MB"})
    assert reply.status == 200, reply.body
    return str(reply.body["configuration"]["id"])


def put(world: World, instance_id: str, change: object) -> Reply:
    return world.call("PUT", f"/instances/{instance_id}", {"instance": change})


def change(world: World, method: str, group_id: str, **body: object) -> Reply:
    return world.call(method, f"/configurations/{group_id}", {"configuration": body})


def applied(guest: GuestDouble) -> list[Any]:
    return [cast.args["parameters"] for cast in guest.notes._casts if cast.method == "apply_configuration"]


def guest(world: World, instance_id: str, **answers: Any) -> GuestDouble:
    return world.start_guest(instance_id, GuestDouble(answers=answers))


def test_a_group_is_created_as_the_clients_read_it(world: World) -> None:
    reply = create(
        world, description="for reports", values={"TIMEZONE": "UTC", "jit": False, "work_mem": "4MB"}
    )

    assert reply.status == 200
    body = reply.body["configuration"]
    assert body["values"] == {"TimeZone": "UTC", "jit": False, "work_mem": "4MB"}
    assert (body["name"], body["description"], body["instance_count"]) == ("fast", "for reports", 0)
    assert (body["datastore_name"], body["datastore_version_name"]) == ("postgresql", "17")
    assert body["datastore_version_number"] == "17"
    assert body["created"] == body["updated"]
    version = world.call("GET", "/datastores/postgresql/versions/17").body["version"]
    assert body["datastore_version_id"] == version["id"]
    assert world.told() == ["configuration_create.start", "configuration_create.end"]
    start, end = world.events()
    assert start.payload["name"] == "fast"
    assert (start.payload["datastore"], start.payload["datastore_version"]) == ("postgresql", "17")
    assert end.payload["configuration_id"] == body["id"]
    assert end.payload["server_type"] == "api"
    assert world.call("GET", f"/configurations/{body['id']}").body["configuration"] == body


def test_groups_are_listed_the_newest_first_a_page_at_a_time(world: World) -> None:
    ids = [made(world) for _ in range(3)]

    first = world.call("GET", "/configurations?limit=2").body
    assert [each["id"] for each in first["configurations"]] == [ids[2], ids[1]]
    assert "values" not in first["configurations"][0]
    marker = first["links"][0]["href"].rpartition("marker=")[2]
    rest = world.call("GET", f"/configurations?limit=2&marker={marker}").body
    assert [each["id"] for each in rest["configurations"]] == [ids[0]]
    assert "links" not in rest
    assert world.call("GET", "/configurations", project="project-2").body == {"configurations": []}


SHAPES = [
    ("no values", {"name": "x"}),
    ("values that are a list", {"name": "x", "values": []}),
    ("a value that is an object", {"name": "x", "values": {"work_mem": {}}}),
    ("no name", {"values": {}}),
    ("an empty name", {"name": " ", "values": {}}),
    ("an unknown datastore", {"name": "x", "values": {}, "datastore": {"type": "oracle"}}),
    ("an unknown version", {"name": "x", "values": {}, "datastore": {"version": "3"}}),
    ("an unknown member", {"name": "x", "values": {}, "colour": "red"}),
]


@pytest.mark.parametrize("asked", [row[1] for row in SHAPES], ids=[row[0] for row in SHAPES])
def test_a_malformed_call_is_an_answer_and_no_operation(world: World, asked: object) -> None:
    reply = world.call("POST", "/configurations", {"configuration": asked})

    assert (reply.status, reply.title) == (400, "badRequest")
    assert world.events() == []


VALUES = [
    ("an unknown parameter", {"wrk_mem": "4MB"}, "wrk_mem"),
    ("one that is not offered", {"archive_command": "rm -rf /"}, "archive_command"),
    ("one that would hold the server in our way", {"fsync": False}, "fsync"),
    ("a name that is none", {"\u0000\n": 1}, "One of the parameters"),
    ("too small", {"work_mem": "1kB"}, "between 64 and"),
    ("too large", {"max_connections": 10**30}, "between 10 and"),
    ("another unit", {"work_mem": "4 parsec"}, "kB"),
    ("half a connection", {"max_connections": 10.5}, "whole number"),
    ("a boolean for a number", {"work_mem": True}, "whole number"),
    ("a number for a choice", {"wal_level": "minimal"}, "'replica', 'logical'"),
    ("neither true nor false", {"jit": "perhaps"}, "true or false"),
    ("no value", {"jit": None}, "needs a value"),
    ("a line break in a text", {"search_path": "a\nb"}, "control character"),
    ("the same twice", {"timezone": "UTC", "TimeZone": "UTC"}, "twice"),
]


@pytest.mark.parametrize(("values", "said"), [row[1:] for row in VALUES], ids=[row[0] for row in VALUES])
def test_a_value_that_nobody_takes_is_the_callers_fault(
    world: World, values: dict[str, object], said: str
) -> None:
    group_id = made(world, jit=True)
    before = len(world.events())

    replies = [create(world, values=values)]
    replies += [change(world, method, group_id, values=values) for method in ("PUT", "PATCH")]

    for reply in replies:
        assert (reply.status, reply.title) == (422, "unprocessableEntity")
        assert said in reply.message
    told = world.events()[before:]
    assert [event.event_type.rpartition(".")[2] for event in told] == ["start", "error"] * 3
    assert {event.payload["error_code"] for event in told[1::2]} == {"invalid_parameter"}
    assert {event.payload["fault"] for event in told[1::2]} == {"user"}
    assert world.call("GET", f"/configurations/{group_id}").body["configuration"]["values"] == {"jit": True}
    assert world.open_runs() == []


def test_what_is_not_there_or_not_ours_is_no_operation(world: World) -> None:
    instance = world.has()
    group_id = made(world)
    before = len(world.events())
    for wanted, project in ((MISSING, "project-1"), ("fast", "project-1"), (group_id, "project-2")):
        path = f"/configurations/{wanted}"
        body = {"configuration": {"values": {}}}
        for method, sent in (("GET", None), ("PUT", body), ("PATCH", body), ("DELETE", None)):
            assert world.call(method, path, sent, project=project).status == 404
        assert world.call("GET", f"{path}/instances", project=project).status == 404
    assert put(world, instance.id, {"configuration": MISSING}).status == 404
    foreign = world.has(project_id="project-2")
    reply = world.call(
        "PUT", f"/instances/{foreign.id}", {"instance": {"configuration": group_id}}, project="project-2"
    )
    assert reply.status == 404
    assert len(world.events()) == before


def test_put_replaces_and_patch_merges(world: World) -> None:
    group_id = made(world, work_mem="4MB", jit=True)

    reply = change(world, "PATCH", group_id, values={"jit": False})
    assert (reply.status, reply.body) == (200, None)
    shown = world.call("GET", f"/configurations/{group_id}").body["configuration"]
    assert shown["values"] == {"jit": False, "work_mem": "4MB"}

    reply = change(world, "PUT", group_id, values={"random_page_cost": 2}, name="slow", description="old")
    assert (reply.status, reply.body) == (202, None)
    shown = world.call("GET", f"/configurations/{group_id}").body["configuration"]
    assert (shown["name"], shown["description"]) == ("slow", "old")
    assert shown["values"] == {"random_page_cost": 2}
    start = world.events()[-2]
    assert (start.payload["name"], start.payload["description"]) == ("slow", "old")
    assert start.payload["configuration_id"] == group_id

    assert change(world, "PUT", group_id, values={}).status == 202
    shown = world.call("GET", f"/configurations/{group_id}").body["configuration"]
    assert (shown["name"], shown["values"]) == ("slow", {})
    assert change(world, "PATCH", group_id, values={}, name="x").status == 400


def test_a_group_is_deleted_and_stays_away(world: World) -> None:
    group_id = made(world)

    reply = world.call("DELETE", f"/configurations/{group_id}")

    assert (reply.status, reply.body) == (202, None)
    assert world.told()[-2:] == ["configuration_delete.start", "configuration_delete.end"]
    assert world.call("GET", f"/configurations/{group_id}").status == 404
    assert world.call("DELETE", f"/configurations/{group_id}").status == 404
    assert world.call("GET", "/configurations").body == {"configurations": []}


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


def test_parameters_are_listed_and_shown_by_name_and_by_id(world: World) -> None:
    version = world.call("GET", "/datastores/postgresql/versions/17").body["version"]
    by_name = world.call("GET", "/datastores/postgresql/versions/17/parameters").body
    by_id = world.call("GET", f"/datastores/versions/{version['id']}/parameters").body

    assert by_name == by_id
    rows = {row["name"]: row for row in by_name["configuration-parameters"]}
    assert rows["max_connections"] == {
        "name": "max_connections",
        "type": "integer",
        "min": 10,
        "max": 262143,
        "restart_required": True,
        "datastore_version_id": version["id"],
    }
    assert rows["jit"]["type"] == "boolean"
    assert "min" not in rows["jit"]
    one = world.call("GET", f"/datastores/versions/{version['id']}/parameters/WORK_MEM").body
    assert one == rows["work_mem"]
    assert world.call("GET", "/datastores/postgresql/versions/17/parameters/fsync").status == 404
    assert world.call("GET", "/datastores/postgresql/versions/3/parameters").status == 404
    assert world.call("GET", f"/datastores/versions/{MISSING}/parameters/jit").status == 404


def test_the_default_configuration_is_what_an_instance_has_without_a_group(world: World) -> None:
    instance = world.has()

    body = world.call("GET", f"/instances/{instance.id}/configuration").body

    assert body["instance"]["configuration"]["shared_buffers"] == f"{instance.ram_mib // 4}MB"
    assert world.call("GET", f"/instances/{MISSING}/configuration").status == 404


def test_readers_only_look(sqlite_url: str) -> None:
    with World(sqlite_url, roles=("reader",)) as world:
        assert world.call("GET", "/configurations").status == 200
        assert world.call("GET", "/datastores/postgresql/versions/17/parameters").status == 200
        assert create(world).status == 403
        assert world.events() == []


class SlowGuest(GuestDouble):
    """A guest that takes its time over the first configuration it is given, and then writes down what it has."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.has: list[dict[str, str]] = []

    def apply_configuration(self, ctx: TroveContext, **args: Any) -> Any:
        if not self.asked.is_set():
            self.asked.set()
            assert self.go_on.wait(10)
        self.has.append(args["parameters"])
        return {"restart_required": False}


def meanwhile(first: Callable[[], Reply], slow: SlowGuest, then: Callable[[], object]) -> Reply:
    """Make a call, do something while the guest is busy with it, and return the answer to the call."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        answer = pool.submit(first)
        assert slow.asked.wait(10)
        then()
        slow.go_on.set()
        return answer.result(10)


def test_of_two_changes_at_once_the_guest_keeps_what_the_group_says(world: World) -> None:
    group_id = made(world, work_mem="4MB")
    instance = world.has(configuration_id=group_id)
    slow = SlowGuest()
    world.start_guest(instance.id, slow)
    replies: list[Reply] = []

    first = meanwhile(
        lambda: change(world, "PATCH", group_id, values={"work_mem": "5MB"}),
        slow,
        lambda: replies.append(change(world, "PATCH", group_id, values={"work_mem": "6MB"})),
    )

    assert [first.status, *(reply.status for reply in replies)] == [200, 200]
    assert slow.has[-1] == {"work_mem": "6MB"}
    assert world.row(instance.id).state == InstanceState.ACTIVE


def test_who_is_attached_during_a_change_gets_the_change(world: World) -> None:
    group_id = made(world, work_mem="4MB")
    instance = world.has()
    slow = SlowGuest()
    world.start_guest(instance.id, slow)

    reply = meanwhile(
        lambda: put(world, instance.id, {"configuration": group_id}),
        slow,
        lambda: change(world, "PATCH", group_id, values={"work_mem": "6MB"}),
    )

    assert reply.status == 202
    assert slow.has[-1] == {"work_mem": "6MB"}
    assert world.row(instance.id).configuration_id == group_id


def test_of_two_groups_at_once_one_is_attached_and_the_guest_has_it(world: World) -> None:
    groups = made(world, work_mem="4MB"), made(world, work_mem="9MB")
    instance = world.has()
    slow = SlowGuest()
    world.start_guest(instance.id, slow)
    replies: list[Reply] = []

    first = meanwhile(
        lambda: put(world, instance.id, {"configuration": groups[0]}),
        slow,
        lambda: replies.append(put(world, instance.id, {"configuration": groups[1]})),
    )

    assert replies[0].status == 202
    assert (first.status, first.title) == (400, "badRequest")
    assert world.row(instance.id).configuration_id == groups[1]
    assert slow.has[-1] == {"work_mem": "9MB"}
    assert world.open_runs() == []


def test_a_group_that_is_deleted_meanwhile_is_not_attached(world: World) -> None:
    group_id = made(world, work_mem="4MB")
    instance = world.has()
    slow = SlowGuest()
    world.start_guest(instance.id, slow)

    reply = meanwhile(
        lambda: put(world, instance.id, {"configuration": group_id}),
        slow,
        lambda: world.call("DELETE", f"/configurations/{group_id}"),
    )

    assert (reply.status, reply.title) == (404, "itemNotFound")
    assert world.row(instance.id).configuration_id is None
    assert slow.has[-1] == {}
    assert world.row(instance.id).state == InstanceState.ACTIVE


def test_who_is_detached_during_a_change_does_not_get_it(world: World) -> None:
    group_id = made(world, work_mem="4MB")
    instance = world.has(configuration_id=group_id)
    slow = SlowGuest()
    world.start_guest(instance.id, slow)

    reply = meanwhile(
        lambda: change(world, "PATCH", group_id, values={"work_mem": "6MB"}),
        slow,
        lambda: put(world, instance.id, {}),
    )

    assert reply.status == 200
    assert world.row(instance.id).configuration_id is None
    assert slow.has[-1] == {}


def test_an_instance_that_another_operation_takes_meanwhile_is_not_attached(world: World) -> None:
    world.start_taskmanager()
    group_id = made(world, work_mem="4MB")
    instance = world.has()
    slow = SlowGuest()
    world.start_guest(instance.id, slow)

    reply = meanwhile(
        lambda: put(world, instance.id, {"configuration": group_id}),
        slow,
        lambda: world.call("POST", f"/instances/{instance.id}/action", {"restart": {}}),
    )

    assert (reply.status, reply.title) == (422, "unprocessableEntity")
    row = world.row(instance.id)
    assert (row.configuration_id, row.state) == (None, InstanceState.REBOOT)
    assert slow.has[-1] == {}
