"""Creating instances over HTTP: what a client asks for, what is announced, handed on or refused."""

import pytest
from tests.functional.api.world import FLAVOR, PROJECT, World

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
    ("a replica with databases", {"replica_of": "x"}, 400, "databases"),
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
