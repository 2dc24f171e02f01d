"""What the API does about replicas: bodies, views, refusals, and who is told; the guests are doubles."""

from datetime import timedelta
from typing import Any

import pytest
from tests.functional.api.world import PROJECT, World

from coffer.catalogue.resources import Resource
from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.lifecycle.emitter import utcnow
from coffer.store import instances, quotas
from coffer.store.instances import Instance

STATES = InstanceState


def replicate(world: World, source: Instance | str, **fields: Any) -> Any:
    wanted = source if isinstance(source, str) else source.id
    return world.call("POST", "/instances", {"instance": {"name": "copy", "replica_of": wanted, **fields}})


def act(world: World, instance: Instance, action: str) -> Any:
    return world.call("POST", f"/instances/{instance.id}/action", {action: {}})


def group(world: World, replicas: int = 2, **source: Any) -> list[Instance]:
    """Put a source and its replicas into the database."""
    first = world.has(**source)
    now = utcnow()
    return [
        first,
        *(
            world.has(replica_of=first.id, launched_at=now, created_at=now + timedelta(seconds=number))
            for number in range(replicas)
        ),
    ]


def limit(world: World, **limits: int) -> None:
    with world.database.writing() as tx:
        quotas.set_limits(tx, PROJECT, {Resource(name): amount for name, amount in limits.items()}, utcnow())


def only_error(world: World) -> dict[str, Any]:
    """The payload of the error of the only run, which began and ended."""
    start, ended = world.events()
    assert start.event_type.endswith(".start")
    assert ended.event_type == start.event_type.replace(".start", ".error")
    assert ended.severity == "error"
    assert world.open_runs() == []
    return dict(ended.payload)


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


# --- promote --------------------------------------------------------------------------------------


def test_a_promotion_holds_the_whole_group_until_it_is_over(world: World) -> None:
    taskmanager = world.start_taskmanager()
    source, first, second = group(world)
    stranger = world.has()

    assert act(world, first, "promote_to_replica_source").status == 202

    (cast,) = taskmanager.notes.casts(1)
    assert (cast.method, cast.args) == ("promote_instance", {"instance_id": first.id})
    assert [world.row(each.id).state for each in (source, first, second)] == [STATES.PROMOTE] * 3
    assert world.row(stranger.id).state == STATES.ACTIVE
    (start,) = world.events()
    assert start.event_type == "dbaas.instance_promote.start"
    assert start.payload["instance_id"] == first.id
    # Of two at once one wins; and nothing else is done to anybody of the group.
    assert act(world, second, "promote_to_replica_source").status == 422
    assert act(world, source, "restart").status == 422
    assert world.call("DELETE", f"/instances/{second.id}").status == 422
    assert replicate(world, source).status == 422
    assert world.row(second.id).state == STATES.PROMOTE


def test_when_nobody_takes_a_promotion_the_group_is_free_again(world: World) -> None:
    members = group(world)

    assert act(world, members[1], "promote_to_replica_source").status == 503

    assert [world.row(each.id).state for each in members] == [STATES.ACTIVE] * 3
    assert only_error(world)["fault"] == "system"


def test_what_is_no_replica_is_not_promoted(world: World) -> None:
    source, _ = group(world, 1)

    assert act(world, source, "promote_to_replica_source").status == 400

    error = only_error(world)
    assert (error["error_code"], error["fault"]) == ("not_replica", "user")
    assert world.row(source.id).state == STATES.ACTIVE


@pytest.mark.parametrize("who", [0, 1, 2])
def test_everybody_of_the_group_must_be_able_to_take_part(world: World, who: int) -> None:
    members = group(world)
    with world.database.writing() as tx:
        instances.update(tx, members[who].id, utcnow(), state=STATES.ERROR)

    reply = act(world, members[1], "promote_to_replica_source")

    assert reply.status == 422
    assert members[who].id in reply.message
    assert only_error(world)["error_code"] == "wrong_state"
    states = [world.row(each.id).state for each in members]
    assert states == [STATES.ERROR if number == who else STATES.ACTIVE for number in range(3)]


# --- eject ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        {"service_status": ServiceStatus.CRASHED},
        {"service_status": ServiceStatus.SHUTDOWN},
        {"service_seen_at": utcnow() - timedelta(hours=1)},
        {"service_seen_at": None},
        {"state": STATES.ERROR, "service_status": ServiceStatus.CRASHED},
    ],
)
def test_a_dead_source_can_be_ejected(world: World, source: dict[str, Any]) -> None:
    taskmanager = world.start_taskmanager()
    members = group(world, **source)

    assert act(world, members[0], "eject_replica_source").status == 202

    (cast,) = taskmanager.notes.casts(1)
    assert (cast.method, cast.args) == ("eject_instance", {"instance_id": members[0].id})
    assert [world.row(each.id).state for each in members] == [STATES.EJECT] * 3
    (start,) = world.events()
    assert start.event_type == "dbaas.instance_eject.start"
    assert start.payload["instance_id"] == members[0].id


def test_a_living_source_is_not_ejected(world: World) -> None:
    members = group(world)

    assert act(world, members[0], "eject_replica_source").status == 400

    error = only_error(world)
    assert (error["error_code"], error["fault"]) == ("source_alive", "user")
    assert [world.row(each.id).state for each in members] == [STATES.ACTIVE] * 3


@pytest.mark.parametrize("what", ["alone", "replica"])
def test_what_has_no_replicas_is_not_ejected(world: World, what: str) -> None:
    _, replica = group(world, 1)
    instance = replica if what == "replica" else world.has(service_status=ServiceStatus.CRASHED)

    assert act(world, instance, "eject_replica_source").status == 400
    assert only_error(world)["error_code"] == "no_replicas"


def test_an_ejection_waits_for_a_replica_that_is_busy(world: World) -> None:
    source = world.has(service_status=ServiceStatus.CRASHED)
    busy = world.has(replica_of=source.id, launched_at=utcnow(), state=STATES.RESIZE)
    idle = world.has(replica_of=source.id, launched_at=utcnow())

    reply = act(world, source, "eject_replica_source")

    assert reply.status == 422
    assert busy.id in reply.message
    assert [world.row(each.id).state for each in (source, idle)] == [STATES.ACTIVE] * 2


def test_an_ejection_needs_a_replica_that_can_take_the_place(world: World) -> None:
    source = world.has(service_status=ServiceStatus.CRASHED)
    world.has(replica_of=source.id, launched_at=utcnow(), state=STATES.ERROR)

    assert act(world, source, "eject_replica_source").status == 422
    assert only_error(world)["error_code"] == "wrong_state"


# --- detach ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("field", ["replica_of", "slave_of"])
def test_a_replica_is_detached(world: World, method: str, field: str) -> None:
    taskmanager = world.start_taskmanager()
    source, replica = group(world, 1)

    reply = world.call(method, f"/instances/{replica.id}", {"instance": {field: None, "name": "on its own"}})

    assert reply.status == 202
    (cast,) = taskmanager.notes.casts(1)
    assert (cast.method, cast.args) == ("detach_instance", {"instance_id": replica.id})
    row = world.row(replica.id)
    assert (row.state, row.name, row.replica_of) == (STATES.DETACH, "on its own", source.id)
    (start,) = world.events()
    assert (start.event_type, start.payload["instance_id"]) == ("dbaas.instance_detach.start", replica.id)


def test_what_is_no_replica_is_not_detached(world: World) -> None:
    instance = world.has()

    reply = world.call("PUT", f"/instances/{instance.id}", {"instance": {"replica_of": None, "name": "new"}})

    assert reply.status == 400
    assert only_error(world)["error_code"] == "not_replica"
    assert world.row(instance.id) == instance


@pytest.mark.parametrize("change", [{"replica_of": "x"}, {"replica_of": None, "configuration": None}])
def test_an_instance_does_not_become_a_replica_later(world: World, change: dict[str, Any]) -> None:
    instance = world.has()

    assert world.call("PUT", f"/instances/{instance.id}", {"instance": change}).status == 400
    assert world.events() == []


# --- what else is done to a group -----------------------------------------------------------------


@pytest.mark.parametrize("state", [STATES.ACTIVE, STATES.BUILD, STATES.ERROR])
def test_a_source_is_not_deleted_while_it_has_replicas(world: World, state: InstanceState) -> None:
    source = world.has()
    world.has(replica_of=source.id, state=state)

    assert world.call("DELETE", f"/instances/{source.id}").status == 403

    error = only_error(world)
    assert (error["error_code"], error["fault"]) == ("has_replicas", "user")
    assert world.row(source.id).state == STATES.ACTIVE


def test_a_replica_is_deleted_like_any_instance(world: World) -> None:
    taskmanager = world.start_taskmanager()
    _, replica = group(world, 1)

    assert world.call("DELETE", f"/instances/{replica.id}").status == 202
    (cast,) = taskmanager.notes.casts(1)
    assert cast.method == "delete_instance"


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


# --- reset ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "during"),
    [("promote_to_replica_source", STATES.PROMOTE), ("eject_replica_source", STATES.EJECT)],
)
@pytest.mark.parametrize("who", [0, 1, 2])
def test_a_reset_of_any_member_frees_the_group(
    world: World, action: str, during: InstanceState, who: int
) -> None:
    world.start_taskmanager()
    dead: dict[str, Any] = {"service_status": ServiceStatus.CRASHED} if during == STATES.EJECT else {}
    members = group(world, **dead)
    assert act(world, members[0 if during == STATES.EJECT else 1], action).status == 202
    assert {world.row(each.id).state for each in members} == {during}

    assert act(world, members[who], "reset_status").status == 202

    assert [world.row(each.id).state for each in members] == [STATES.ACTIVE] * 3
    assert only_error(world)["error_code"] == "reset"
