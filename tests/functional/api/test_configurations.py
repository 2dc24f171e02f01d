"""Configuration groups over HTTP: what is shown, and what is refused and how."""

import pytest
from tests.functional.api.groups import MISSING, change, create, made, put
from tests.functional.api.world import World


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
        body: dict[str, object] = {"configuration": {"values": {}}}
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
