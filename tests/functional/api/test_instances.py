"""Instances over HTTP: what a client sends, what it gets, what is announced, what is handed on."""

from datetime import timedelta

import pytest
from tests.functional.api.world import FLAVOR, PROJECT, World

from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.lifecycle.emitter import utcnow

BODY = {
    "name": "shop",
    "flavorRef": "1",
    "volume": {"size": 2, "type": None},
    "databases": [{"name": "orders"}, {"name": "people"}],
    "users": [{"name": "ann", "password": "pw-of-ann", "databases": [{"name": "orders"}]}],
    "access": {"is_public": False},
}


def create(world: World, **changes: object):
    wanted = {key: value for key, value in {**BODY, **changes}.items() if value is not ...}
    return world.call("POST", "/instances", {"instance": wanted})


def test_a_new_instance_is_shown_as_it_is_being_built(world: World) -> None:
    world.start_taskmanager()

    reply = create(world)

    assert reply.status == 200
    shown = reply.body["instance"]
    assert shown["name"] == "shop"
    assert shown["status"] == "BUILD"
    assert shown["operating_status"] == ""
    assert shown["flavor"]["id"] == FLAVOR.id
    assert shown["volume"] == {"size": 2}
    assert shown["datastore"] == {"type": "postgresql", "version": "17", "version_number": "17"}
    assert shown["access"] == {"is_public": False, "allowed_cidrs": []}
    assert shown["region"] == "RegionOne"
    assert shown["links"][0]["href"] == f"http://127.0.0.1:8779/v1.0/{PROJECT}/instances/{shown['id']}"
    assert world.call("GET", f"/instances/{shown['id']}").body["instance"] == shown


def test_the_task_carries_the_run_and_is_the_only_place_of_the_password(world: World) -> None:
    taskmanager = world.start_taskmanager()

    instance_id = create(world).body["instance"]["id"]

    (task,) = taskmanager.notes.casts(1)
    (run,) = world.open_runs()
    assert task.method == "create_instance"
    assert task.args["instance_id"] == instance_id
    assert task.args["databases"] == [{"name": "orders"}, {"name": "people"}]
    (user,) = task.args["users"]
    assert user == {"name": "ann", "password": "pw-of-ann", "host": "%", "databases": [{"name": "orders"}]}
    assert task.context.notification is not None
    assert task.context.notification.run_id == run.run_id
    (event,) = world.events()
    assert "pw-of-ann" not in f"{run}{event}"


@pytest.mark.parametrize(
    ("asked", "given"),
    [({}, "nova"), ({"availability_zone": None}, "nova"), ({"availability_zone": "nova-2"}, "nova-2")],
)
def test_an_instance_has_the_zone_asked_for_or_the_first(
    world: World, asked: dict[str, str | None], given: str
) -> None:
    world.start_taskmanager()

    reply = create(world, **asked)

    assert reply.body["instance"]["availability_zone"] == given
    instance_id = reply.body["instance"]["id"]
    assert world.call("GET", f"/instances/{instance_id}").body["instance"]["availability_zone"] == given
    (event,) = world.events()
    assert event.payload.get("availability_zone") == asked.get("availability_zone"), "what was asked for"


@pytest.mark.parametrize("zone", ["there", "", "NOVA", "nova,nova-2"])
def test_a_zone_that_is_none_is_refused_and_begins_nothing(world: World, zone: str) -> None:
    reply = create(world, availability_zone=zone)

    assert (reply.status, reply.title) == (400, "badRequest")
    assert "there is nova, nova-2" in reply.message
    assert world.events() == []


def test_the_start_of_a_creation_tells_what_was_asked_for(world: World) -> None:
    world.start_taskmanager()

    reply = create(world, availability_zone="nova-2")

    (event,) = world.events()
    assert event.event_type == "dbaas.instance_create.start"
    expected = {
        "name": "shop",
        "flavor": "1",
        "datastore": "postgresql",
        "datastore_version": "17",
        "databases": "orders,people",
        "users": "ann",
        "volume_size": 2,
        "availability_zone": "nova-2",
        "tenant_id": PROJECT,
        "client_ip": "127.0.0.1:40123",
        "server_ip": "127.0.0.1:8779",
        "server_type": "api",
        "request_id": reply.headers["x-openstack-request-id"],
        "instance_id": reply.body["instance"]["id"],
    }
    assert {key: event.payload[key] for key in expected} == expected


def test_a_creation_that_nobody_takes_ends_at_once(world: World) -> None:
    reply = create(world)

    assert (reply.status, reply.title) == (503, "serviceUnavailable")
    assert world.told() == ["instance_create.start", "instance_create.error"]
    (listed,) = world.call("GET", "/instances").body["instances"]
    assert listed["status"] == "ERROR"
    shown = world.call("GET", f"/instances/{listed['id']}").body["instance"]
    assert "taskmanager" in shown["fault"]["message"]


REFUSED = [
    ("a name of 256 characters", {"name": "n" * 256}, 400, "instance.name"),
    ("an empty name", {"name": " "}, 400, "instance.name"),
    ("a NUL in the name", {"name": "a\0b"}, 400, "instance.name"),
    ("a name that is no text", {"name": 5}, 400, "instance.name"),
    ("no name", {"name": ...}, 400, "name"),
    ("no flavor", {"flavorRef": ...}, 400, "instance.flavorRef"),
    ("an unknown flavor", {"flavorRef": "4711"}, 400, "4711"),
    ("a flavor of the wrong type", {"flavorRef": []}, 400, "instance.flavorRef"),
    ("no volume", {"volume": ...}, 400, "instance.volume"),
    ("a volume of no size", {"volume": {"size": 0}}, 400, "instance.volume.size"),
    ("a volume of negative size", {"volume": {"size": -3}}, 400, "instance.volume.size"),
    ("a volume size as text", {"volume": {"size": "2"}}, 400, "instance.volume.size"),
    ("a volume size as truth", {"volume": {"size": True}}, 400, "instance.volume.size"),
    ("a volume type", {"volume": {"size": 2, "type": "ssd"}}, 501, "type of a volume"),
    ("an unknown datastore", {"datastore": {"type": "oracle"}}, 400, "oracle"),
    ("an unknown version", {"datastore": {"type": "postgresql", "version": "6"}}, 400, "version 6"),
    ("a version number of another version", {"datastore": {"version": "17", "version_number": "16"}}, 400, "17"),
    ("an attribute that does not exist", {"colour": "red"}, 400, "colour"),
    ("a database twice", {"databases": [{"name": "orders"}] * 2, "users": []}, 400, "orders"),
    ("a database of the engine's", {"databases": [{"name": "template1"}]}, 400, "instance.databases[0].name"),
    ("a NUL in a database", {"databases": [{"name": "a\0"}]}, 400, "instance.databases[0].name"),
    ("a slash in a database", {"databases": [{"name": "a/b"}]}, 400, "instance.databases[0].name"),
    ("a character set", {"databases": [{"name": "a", "character_set": "latin9"}]}, 400, "character_set"),
    ("a user without password", {"users": [{"name": "ann"}]}, 400, "password"),
    ("a user twice", {"users": [{"name": "ann", "password": "x"}] * 2}, 400, "ann"),
    ("a user with a host", {"users": [{"name": "u", "password": "x", "host": "10.0.0.1"}]}, 400, "host"),
    ("a user of 300 characters", {"users": [{"name": "u" * 300, "password": "x"}]}, 400, "users[0].name"),
    ("a user of no database", {"users": [{"name": "u", "password": "x", "databases": [{"name": "n"}]}]}, 400, "n"),
    ("another region", {"region_name": "Mars"}, 400, "RegionOne"),
    ("a public instance", {"access": {"is_public": True}}, 501, "public"),
    ("allowed networks", {"access": {"is_public": False, "allowed_cidrs": ["10.0.0.0/8"]}}, 501, "public"),
    ("a replica", {"replica_of": "x"}, 501, "replica"),
    ("three of one", {"replica_count": 3}, 400, "replica_count"),
    ("a backup", {"restorePoint": {"backupRef": "x"}}, 404, "Backup"),
    ("an unknown configuration", {"configuration": "x"}, 404, "Configuration"),
    ("a network", {"nics": [{"network_id": "x"}]}, 501, "networks"),
    ("modules", {"modules": [{"id": "x"}]}, 501, "modules"),
    ("a locality", {"locality": "affinity"}, 501, "locality"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "status", "word"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_creation_is_refused_before_anything_begins(
    world: World, changes: dict[str, object], status: int, word: str
) -> None:
    reply = create(world, **changes)

    assert reply.status == status
    assert word in reply.message
    assert world.events() == []
    assert world.call("GET", "/instances").body == {"instances": []}


ACCEPTED = [
    ("a flavor by link", {"flavorRef": "http://127.0.0.1:8779/v1.0/p/flavors/1"}),
    ("a flavor by number", {"flavorRef": 1}),
    ("a datastore by id", {"datastore": {"type": "POSTGRESQL-ID"}}),
    ("a version by number", {"datastore": {"type": "postgresql", "version_number": "17"}}),
    ("a name in another script", {"name": "Bücher — 本 🛒"}),
    ("a name with quotes and semicolons", {"name": "'; DROP TABLE instances; --\""}),
    ("strange database names", {"databases": [{"name": "a'b\";c d"}, {"name": "данные"}], "users": []}),
    ("no databases and users", {"databases": ..., "users": ...}),
    ("no access", {"access": ...}),
    ("one of one", {"replica_count": 1}),
]


@pytest.mark.parametrize("changes", [row[1] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_a_creation_is_accepted(world: World, changes: dict[str, object]) -> None:
    world.start_taskmanager()
    if changes.get("datastore") == {"type": "POSTGRESQL-ID"}:
        found = world.services.datastores.get("postgresql")
        assert found is not None
        changes = {"datastore": {"type": found.id}}

    reply = create(world, **changes)

    assert reply.status == 200
    if "name" in changes:
        assert world.row(reply.body["instance"]["id"]).name == changes["name"]


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
        ({"replica_of": None}, 501),
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
        ({"promote_to_replica_source": {}}, 501),
        ({"dance": {}}, 501),
    ],
)
def test_an_action_is_known_or_refused(world: World, body: object, status: int) -> None:
    instance = world.has()

    assert world.call("POST", f"/instances/{instance.id}/action", body).status == status
    assert world.row(instance.id) == instance
    assert world.events() == []
