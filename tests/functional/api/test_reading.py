"""What can be read: versions, flavors, datastores, limits, and instances a page at a time."""

from datetime import timedelta

import pytest
from tests.functional.api.world import PROJECT, World
from tests.support.rows import NOON

HERE = f"http://127.0.0.1:8779/v1.0/{PROJECT}"


@pytest.mark.parametrize(("path", "key"), [("/", "versions"), ("/v1.0", "version"), ("/v1.0/", "version")])
def test_versions_need_no_project(world: World, path: str, key: str) -> None:
    result = world.client.simulate_get(path, headers={"Host": "127.0.0.1:8779"})

    version = result.json[key][0] if key == "versions" else result.json[key]
    assert (version["id"], version["status"]) == ("v1.0", "CURRENT")
    assert version["links"] == [{"rel": "self", "href": "http://127.0.0.1:8779/v1.0/"}]


def test_flavors_have_a_number_or_a_text_as_id(world: World) -> None:
    flavors = world.call("GET", "/flavors").body["flavors"]

    tiny = flavors[0]
    assert tiny == {
        "id": 1,
        "str_id": "1",
        "name": "db.tiny",
        "ram": 512,
        "vcpus": 1,
        "disk": 5,
        "ephemeral": 0,
        "links": [
            {"rel": "self", "href": f"{HERE}/flavors/1"},
            {"rel": "bookmark", "href": "http://127.0.0.1:8779/flavors/1"},
        ],
    }
    assert world.call("GET", "/flavors/1").body == {"flavor": tiny}
    assert world.call("GET", "/flavors/db.tiny").status == 404


def test_a_datastore_is_found_by_name_and_by_id(world: World) -> None:
    (datastore,) = world.call("GET", "/datastores").body["datastores"]

    assert datastore["name"] == "postgresql"
    assert datastore["default_version"] in {version["id"] for version in datastore["versions"]}
    for key in (datastore["id"], "postgresql"):
        assert world.call("GET", f"/datastores/{key}").body == {"datastore": datastore}
    assert world.call("GET", "/datastores/oracle").status == 404


def test_a_version_is_found_by_name_by_id_and_alone(world: World) -> None:
    versions = world.call("GET", "/datastores/postgresql/versions").body["versions"]
    wanted = next(version for version in versions if version["name"] == "17")

    paths = ["postgresql/versions/17", f"postgresql/versions/{wanted['id']}", f"versions/{wanted['id']}"]
    replies = [world.call("GET", f"/datastores/{path}").body["version"] for path in paths]

    assert replies[0] == replies[1] == replies[2]
    assert replies[0].items() >= wanted.items()
    for missing in ("oracle/versions", "postgresql/versions/6", "versions/17", "oracle/versions/17/flavors"):
        assert world.call("GET", f"/datastores/{missing}").status == 404


def test_a_version_can_have_every_flavor_and_no_volume_type(world: World) -> None:
    base = "/datastores/postgresql/versions/17"

    assert world.call("GET", f"{base}/flavors").body == world.call("GET", "/flavors").body
    assert world.call("GET", f"{base}/volume-types").body == {"volume_types": []}


def test_the_absolute_limits_come_first_and_are_what_is_enforced(world: World) -> None:
    assert world.call("GET", "/limits").body["limits"][0] == {
        "verb": "ABSOLUTE",
        "max_instances": 10,
        "max_ram": -1,
        "max_volumes": 40,
        "max_backups": 50,
    }


@pytest.mark.parametrize("path", ["/instances", "/instances/detail"])
def test_instances_are_listed_in_pages_the_newest_first(world: World, path: str) -> None:
    made = [world.has(name=f"i{number}", created_at=NOON + timedelta(minutes=number)) for number in range(23)]
    newest_first = [instance.id for instance in reversed(made)]

    first = world.call("GET", path).body
    marker = first["links"][0]["href"].partition("marker=")[2]
    second = world.call("GET", f"{path}?marker={marker}").body

    assert [each["id"] for each in first["instances"]] == newest_first[:20]
    assert marker == newest_first[19]
    assert [each["id"] for each in second["instances"]] == newest_first[20:]
    assert "links" not in second


def test_a_full_last_page_has_no_next_one(world: World) -> None:
    world.has()

    assert "links" not in world.call("GET", "/instances?limit=1").body


def test_the_rest_of_the_query_stays_in_the_link(world: World) -> None:
    for _ in range(2):
        world.has()

    (link,) = world.call("GET", "/instances?limit=1&include_clustered=True").body["links"]

    assert link["href"].startswith(f"{HERE}/instances?include_clustered=True&limit=1&marker=")


@pytest.mark.parametrize(
    ("query", "status", "count"),
    [
        ("limit=2", 200, 2),
        ("limit=", 200, 3),
        ("limit=1000", 200, 3),
        ("limit=0", 400, 0),
        ("limit=-1", 400, 0),
        ("limit=two", 400, 0),
        ("limit=1.5", 400, 0),
        ("limit=%D9%A3", 400, 0),
        ("limit=" + "9" * 5000, 400, 0),
        ("marker=", 200, 3),
        ("marker=nothing", 200, 0),
        ("marker=%00", 400, 0),
        ("include_clustered=False", 200, 2),
        ("include_clustered=True", 200, 3),
        ("colour=red&&=&", 200, 2),
    ],
)
def test_a_page_is_as_asked_for_or_refused(world: World, query: str, status: int, count: int) -> None:
    for cluster_id in (None, None, "cluster-1"):
        world.has(cluster_id=cluster_id)
    if "include" not in query and "colour" not in query:
        query += "&include_clustered=true"

    reply = world.call("GET", f"/instances?{query}")

    assert reply.status == status
    if status == 200:
        assert len(reply.body["instances"]) == count
