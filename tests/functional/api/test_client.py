"""The unmodified python-troveclient against a real socket: what it asks, it understands the answer to."""

import contextlib
import threading
import uuid
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tests.functional.api.world import PROJECT, World
from waitress import wasyncore
from waitress.server import create_server

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the client imports eventlet, which announces its own end
    trove = pytest.importorskip("troveclient.v1.client", reason="python-troveclient is not installed")
from keystoneauth1 import noauth, session
from troveclient.apiclient import exceptions


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve `app` on a free port of the loopback."""
    sockets: dict[int, Any] = {}
    server = create_server(app, host="127.0.0.1", port=0, threads=2, map=sockets)
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            wasyncore.loop(timeout=0.05, count=1, map=sockets)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        # Closed when nobody is in the loop any more: its files' numbers may be somebody else's a moment later.
        ending.set()
        thread.join(10)
        assert not thread.is_alive()
        server.task_dispatcher.shutdown()
        wasyncore.close_all(sockets)


@pytest.fixture
def client(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Any]:
    """The client of a tenant, with its cache kept out of the home directory."""
    monkeypatch.setenv("TROVECLIENT_UUID_CACHE_DIR", str(tmp_path / "cache"))
    with served(world.client.app) as url, requests.Session() as connections:
        yield trove.Client(
            session=session.Session(
                auth=noauth.NoAuth(endpoint=f"{url}/v1.0/{PROJECT}"), session=connections
            ),
            endpoint_override=f"{url}/v1.0/{PROJECT}",
            region_name="RegionOne",
        )


def test_the_client_creates_shows_renames_restarts_and_deletes(world: World, client: Any) -> None:
    world.start_taskmanager()

    made = client.instances.create(
        "shop",
        flavor_id=client.flavors.list()[0].id,
        volume={"size": 1, "type": None},
        databases=[{"name": "orders"}],
        users=[{"name": "ann", "password": "x", "databases": [{"name": "orders"}]}],
        datastore="postgresql",
        datastore_version="17",
        access={"is_public": False},
    )
    assert (made.name, made.status, made.flavor["id"]) == ("shop", "BUILD", "1")
    ready = world.has(name="ready")
    client.instances.update(ready.id, name="renamed")
    assert client.instances.get(ready.id).name == "renamed"
    client.instances.restart(ready.id)
    other = world.has()
    client.instances.delete(other.id)

    world.taskmanager.notes.casts(3)
    assert {instance.status for instance in client.instances.list()} == {"BUILD", "REBOOT", "SHUTDOWN"}
    (event, *_) = world.events()
    address, port = str(event.payload["client_ip"]).split(":")
    assert address == "127.0.0.1"
    assert int(port) > 0


def test_the_client_reads_what_there_is(client: Any) -> None:
    assert client.flavors.get(1).name == "db.tiny"
    (datastore,) = client.datastores.list()
    assert client.datastores.get("postgresql").id == datastore.id
    version = client.datastore_versions.get("postgresql", "17")
    assert client.datastore_versions.get_by_uuid(version.id).name == "17"
    assert len(client.datastore_versions.list("postgresql")) == len(datastore.versions)
    assert client.flavors.list_datastore_version_associated_flavors("postgresql", "17")
    assert client.volume_types.list_datastore_version_associated_volume_types("postgresql", "17") == []
    assert client.limits.list()[0].verb == "ABSOLUTE"


def test_the_client_pages_through_awkward_names(world: World, client: Any) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.users = {name: [] for name in ("a b", "a%41", "a&b=c", "a'\";#?", "a+b", "a@b", "bob", "ü.本")}
    guest.databases = [f"db {number:02}" for number in range(45)]

    users, marker = [], None
    while True:
        page = client.users.list(instance.id, limit=1, marker=marker)
        users += [user.name for user in page]
        marker = page.next
        if not marker:
            break
    databases = client.databases.list(instance.id)
    rest = client.databases.list(instance.id, marker=databases.next)
    last = client.databases.list(instance.id, marker=rest.next)

    assert users == sorted(guest.users)
    assert [each.name for page in (databases, rest, last) for each in page] == guest.databases
    assert last.next is None


def test_the_client_works_with_users_and_databases(world: World, client: Any) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.users = {"a.b@c": ["orders"]}
    guest.databases = ["old one"]

    client.databases.create(instance.id, [{"name": "new"}])
    client.databases.delete(instance.id, "old one")
    client.users.create(instance.id, [{"name": "ann", "password": "x", "databases": []}])
    assert client.users.get(instance.id, "a.b@c", "%").name == "a.b@c"
    assert [each.name for each in client.users.list_access(instance.id, "a.b@c", "%")] == ["orders"]
    client.users.delete(instance.id, "a.b@c")
    assert client.root.create(instance.id) == ("postgres", "made-by-the-guest")
    assert client.root.is_root_enabled(instance.id).rootEnabled is True

    assert {cast.method for cast in guest.notes.casts(4)} == {
        "create_database",
        "delete_database",
        "create_user",
        "delete_user",
    }


def test_the_client_understands_every_refusal(world: World, client: Any) -> None:
    building = world.has(state="BUILD")
    unreachable = world.has()
    refusals = [
        (exceptions.BadRequest, lambda: client.instances.create("x", 99, {"size": 1})),
        (exceptions.NotFound, lambda: client.instances.get(str(uuid.uuid4()))),
        (exceptions.NotFound, lambda: client.instances.get("shop")),
        (exceptions.RequestEntityTooLarge, lambda: client.instances.create("x", 1, {"size": 10_000})),
        (exceptions.UnprocessableEntity, lambda: client.instances.delete(building.id)),
        (exceptions.HttpNotImplemented, lambda: client.instances.log_list(unreachable.id)),
        (exceptions.HttpNotImplemented, client.clusters.list),
        (exceptions.BadRequest, lambda: client.users.change_passwords(unreachable.id, [])),
        (exceptions.NotFound, lambda: client.users.grant(unreachable.id, "os_admin", ["x"])),
        (exceptions.ServiceUnavailable, lambda: client.users.grant(unreachable.id, "ann", ["x"])),
        (exceptions.Forbidden, client.mgmt_instances.list),
        (exceptions.ServiceUnavailable, lambda: client.databases.list(unreachable.id)),
    ]
    for expected, call in refusals:
        with pytest.raises(expected) as refusal:
            call()
        assert refusal.value.request_id.startswith("req-")
        assert refusal.value.message.endswith(".")


def test_the_client_works_with_configuration_groups(world: World, client: Any) -> None:
    instance = world.has()
    world.start_guest(instance.id)
    made = client.configurations.create(
        "fast",
        '{"work_mem": "4MB"}',
        description="for reports",
        datastore="postgresql",
        datastore_version="17",
    )
    assert made.values == {"work_mem": "4MB"}
    assert made.datastore_version_id  # `openstack database configuration create` takes it away without asking

    client.instances.update(instance.id, configuration=made.id)
    assert client.instances.get(instance.id).configuration["name"] == "fast"
    assert [each.name for each in client.configurations.instances(made.id)] == [instance.name]
    client.configurations.edit(made.id, '{"jit": false}')
    client.configurations.update(made.id, '{"work_mem": "5MB"}', name="faster")
    assert [(each.name, each.datastore_version_number) for each in client.configurations.list()] == [
        ("faster", "17")
    ]
    assert client.configurations.get(made.id).values == {"work_mem": "5MB"}
    with pytest.raises(exceptions.BadRequest):
        client.configurations.delete(made.id)
    with pytest.raises(exceptions.UnprocessableEntity, match="wrk_mem"):
        client.configurations.edit(made.id, '{"wrk_mem": 1}')
    client.instances.update(instance.id, remove_configuration=True)
    client.configurations.delete(made.id)

    version = client.datastore_versions.get("postgresql", "17").id
    by_id = client.configuration_parameters.parameters_by_version(version)
    assert "work_mem" in {each.name for each in by_id}
    one = client.configuration_parameters.get_parameter("postgresql", "17", "work_mem")
    assert (one.type, one.min, one.restart_required) == ("integer", 64, False)
    assert client.instances.configuration(instance.id).configuration["work_mem"]
