"""What the API does about replicas: how they are asked for, seen and used; the guests are doubles."""

from typing import Any

import pytest
from tests.functional.api.replicas import group, limit, only_error, replicate
from tests.functional.api.world import World

from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.lifecycle.emitter import utcnow

STATES = InstanceState


# --- creation -------------------------------------------------------------------------------------


def test_a_replica_has_what_its_source_has_unless_asked_otherwise(world: World) -> None:
    taskmanager = world.start_taskmanager()
    source = world.has(flavor_id="2", volume_gib=3)

    reply = replicate(world, source)

    assert reply.status == 200
    shown = reply.body["instance"]
    assert (shown["flavor"]["id"], shown["volume"]["size"]) == ("2", 3)
    assert shown["replica_of"]["id"] == source.id
    assert shown["replica_of"]["links"][0]["href"].endswith(f"/instances/{source.id}")
    (cast,) = taskmanager.notes.casts(1)
    assert (cast.method, cast.args) == ("create_replica", {"instance_id": shown["id"]})
    (start,) = world.events()
    payload = start.payload
    assert start.event_type == "dbaas.instance_create.start"
    assert (payload["replica_of"], payload["replica_count"]) == (source.id, "1")
    assert (payload["flavor"], payload["volume_size"]) == ("2", 3)
    assert (payload["datastore"], payload["datastore_version"]) == ("postgresql", "17")
    assert {"databases", "users", "restore_point"}.isdisjoint(payload)


def test_several_replicas_are_numbered_and_each_is_a_run(world: World) -> None:
    taskmanager = world.start_taskmanager()
    source = world.has()

    reply = replicate(world, source, replica_count=3, flavorRef="3", volume={"size": 7})

    assert reply.status == 200
    assert reply.body["instance"]["name"] == "copy-3"
    casts = taskmanager.notes.casts(3)
    runs = {each.context.notification.run_id for each in casts if each.context.notification}
    assert len(runs) == 3
    made = [event.payload["instance_id"] for event in world.events()]
    assert [event.payload["name"] for event in world.events()] == ["copy-1", "copy-2", "copy-3"]
    assert sorted(made, key=str) == sorted(each.args["instance_id"] for each in casts)
    assert {run.instance_id for run in world.open_runs()} == set(made)
    assert {run.request_id for run in world.open_runs()} == {world.open_runs()[0].request_id}
    rows = [world.row(str(each)) for each in made]
    assert {(row.flavor_id, row.volume_gib, row.replica_of, row.state) for row in rows} == {
        ("3", 7, source.id, STATES.BUILD)
    }


def test_a_source_is_found_by_a_link_and_under_its_old_name(world: World) -> None:
    world.start_taskmanager()
    source = world.has()

    assert replicate(world, f"http://127.0.0.1:8779/v1.0/p/instances/{source.id}").status == 200
    reply = world.call("POST", "/instances", {"instance": {"name": "copy", "slave_of": source.id}})
    assert reply.body["instance"]["replica_of"]["id"] == source.id


@pytest.mark.parametrize(
    "fields",
    [
        {"replica_count": 0},
        {"replica_count": 4},
        {"replica_count": -1},
        {"databases": [{"name": "shop"}]},
        {"users": [{"name": "bob", "password": "tiger"}]},
        {"restorePoint": {"backupRef": "x"}},
        {"datastore": {"type": "mysql"}},
        {"datastore": {"type": "postgresql", "version": "16"}},
        {"flavorRef": "4711"},
        {"volume": {"size": 0}},
        {"name": ""},
        {"name": "x" * 255, "replica_count": 2},
        {"region_name": "elsewhere"},
    ],
)
def test_a_body_that_makes_no_sense_begins_nothing(world: World, fields: dict[str, Any]) -> None:
    source = world.has()

    assert replicate(world, source, **fields).status == 400
    assert world.events() == []


@pytest.mark.parametrize("wanted", ["nobody", "00000000-0000-4000-8000-000000000000"])
def test_a_replica_of_nobody_cannot_be_found(world: World, wanted: str) -> None:
    assert replicate(world, wanted).status == 404
    assert world.events() == []


def test_another_projects_instance_is_nobody(world: World) -> None:
    assert replicate(world, world.has(project_id="another")).status == 404
    assert world.events() == []


def test_its_own_datastore_may_be_named(world: World) -> None:
    world.start_taskmanager()
    source = world.has()
    assert replicate(world, source, datastore={"type": "postgresql", "version": "17"}).status == 200
    assert replicate(world, source, datastore={"type": "postgresql"}).status == 200


REFUSED = [
    ("of a replica", {"replica_of": "x"}, {}, {}, 403, "replica_of_replica"),
    ("too small", {"volume_gib": 5}, {"volume": {"size": 4}}, {}, 403, "replica_too_small"),
    ("of what is being built", {"state": STATES.BUILD}, {}, {}, 422, "wrong_state"),
    ("of what is broken", {"state": STATES.ERROR}, {}, {}, 422, "wrong_state"),
    ("of what is going", {"state": STATES.SHUTDOWN}, {}, {}, 422, "wrong_state"),
    ("of what is down", {"service_status": ServiceStatus.CRASHED}, {}, {}, 422, "server_not_running"),
    ("too many", {}, {}, {"instances": 1}, 413, "quota_exceeded"),
    ("too much room", {"volume_gib": 2}, {}, {"volumes": 3}, 413, "quota_exceeded"),
]


@pytest.mark.parametrize(
    ("source", "fields", "limits", "status", "code"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
def test_a_refusal_is_announced_as_the_tenants_doing_and_makes_nothing(
    world: World,
    source: dict[str, Any],
    fields: dict[str, Any],
    limits: dict[str, int],
    status: int,
    code: str,
) -> None:
    taskmanager = world.start_taskmanager()
    instance = world.has(**source)
    limit(world, **limits)

    assert replicate(world, instance, **fields).status == status

    error = only_error(world)
    assert (error["fault"], error["error_code"]) == ("user", code)
    assert error["instance_id"] != instance.id
    assert len(world.call("GET", "/instances").body["instances"]) == 1
    assert taskmanager.notes.count == 0


def test_more_replicas_than_the_quota_are_all_refused_each_with_its_events(world: World) -> None:
    source = world.has()
    limit(world, instances=3)

    assert replicate(world, source, replica_count=3).status == 413

    told = [event.event_type.rpartition(".")[2] for event in world.events()]
    assert told == ["start"] * 3 + ["error"] * 3
    assert len({event.payload["run_id"] for event in world.events()}) == 3
    assert len({event.payload["instance_id"] for event in world.events()}) == 3
    assert world.open_runs() == []
    limit(world, instances=4)
    assert replicate(world, source, replica_count=3).status == 503  # nobody takes the tasks


def test_when_nobody_takes_the_tasks_each_run_ends_and_each_replica_is_in_error(world: World) -> None:
    source = world.has()

    assert replicate(world, source, replica_count=2).status == 503

    ended = [event for event in world.events() if event.event_type.endswith(".error")]
    assert [event.payload["error_code"] for event in ended] == ["dispatch_failed"] * 2
    assert {event.payload["fault"] for event in ended} == {"system"}
    rows = [world.row(str(event.payload["instance_id"])) for event in ended]
    assert {row.state for row in rows} == {STATES.ERROR}
    assert world.open_runs() == []


# --- views ----------------------------------------------------------------------------------------


def test_lists_and_details_show_who_follows_whom(world: World) -> None:
    source, first, second = group(world)
    world.has(replica_of=source.id, state=STATES.DELETED, deleted_at=utcnow())

    for path in ("/instances", "/instances/detail"):
        shown = {each["id"]: each for each in world.call("GET", path).body["instances"]}
        assert [each["id"] for each in shown[source.id]["replicas"]] == [first.id, second.id]
        assert "replica_of" not in shown[source.id]
        assert shown[first.id]["replica_of"]["id"] == source.id
        assert "replicas" not in shown[first.id]
    one = world.call("GET", f"/instances/{source.id}").body["instance"]
    assert [each["id"] for each in one["replicas"]] == [first.id, second.id]
    assert one["replicas"][0]["links"][0]["href"].endswith(f"/instances/{first.id}")


def test_an_administrator_sees_it_too(sqlite_url: str) -> None:
    with World(sqlite_url, roles=("admin", "member", "reader")) as admin_world:
        _see_the_group(admin_world)


def _see_the_group(admin_world: World) -> None:
    source, first = group(admin_world, 1)

    one = admin_world.call("GET", f"/mgmt/instances/{source.id}").body["instance"]
    assert [each["id"] for each in one["replicas"]] == [first.id]
    shown = {each["id"]: each for each in admin_world.call("GET", "/mgmt/instances").body["instances"]}
    assert [each["id"] for each in shown[source.id]["replicas"]] == [first.id]
    assert shown[first.id]["replica_of"]["id"] == source.id


# --- what is in them --------------------------------------------------------------------------------


CONTENT = [
    ("POST", "databases", {"databases": [{"name": "shop"}]}),
    ("DELETE", "databases/shop", None),
    ("POST", "users", {"users": [{"name": "bob", "password": "tiger"}]}),
    ("DELETE", "users/bob", None),
    ("PUT", "users", {"users": [{"name": "bob", "password": "lion"}]}),
    ("PUT", "users/bob", {"user": {"name": "rob"}}),
    ("PUT", "users/bob/databases", {"databases": [{"name": "shop"}]}),
    ("DELETE", "users/bob/databases/shop", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CONTENT)
def test_the_content_of_a_replica_is_changed_at_its_source(
    world: World, method: str, path: str, body: object
) -> None:
    source, replica = group(world, 1)
    guest = world.start_guest(replica.id)

    reply = world.call(method, f"/instances/{replica.id}/{path}", body)

    assert reply.status == 400
    assert source.id in reply.message
    error = only_error(world)
    assert (error["error_code"], error["fault"]) == ("replica_read_only", "user")
    assert guest.notes.count == 0


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_so_is_its_superuser(world: World, method: str) -> None:
    source, replica = group(world, 1)
    guest = world.start_guest(replica.id)

    reply = world.call(method, f"/instances/{replica.id}/root")

    assert (reply.status, source.id in reply.message) == (400, True)
    assert guest.root_password is None


def test_the_content_of_a_replica_can_be_looked_at(world: World) -> None:
    _, replica = group(world, 1)
    world.start_guest(replica.id).databases.append("shop")

    assert world.call("GET", f"/instances/{replica.id}/databases").body == {"databases": [{"name": "shop"}]}
