"""Databases over HTTP: one call, a run an item, and the guest asked before anything is handed to it."""

from dataclasses import replace

import pytest
from falcon import testing
from tests.functional.api.world import PROJECT, World

from coffer.api.app import build_app
from coffer.catalogue.errors import GuestFailed, Unauthorized
from coffer.catalogue.states import InstanceState
from coffer.wire.guest_client import GuestClient


def names(*wanted: str) -> dict[str, object]:
    return {"databases": [{"name": name} for name in wanted]}


def test_each_database_of_a_call_is_a_run_of_its_own(world: World) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)

    reply = world.call("POST", f"/instances/{instance.id}/databases", names("orders", "people"))

    assert (reply.status, reply.body) == (202, None)
    assert world.told() == ["database_create.start orders", "database_create.start people"]
    assert len({event.payload["request_id"] for event in world.events()}) == 1
    by_name = {run.item: run for run in world.open_runs()}
    casts = guest.notes.casts(2)
    assert {cast.args["database"]["name"] for cast in casts} == {"orders", "people"}
    for cast in casts:
        run = by_name[cast.args["database"]["name"]]
        assert cast.context.notification is not None
        assert cast.context.notification.run_id == run.run_id
        assert run.handed_to == instance.id


def test_only_what_exists_already_fails(world: World) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.databases = ["people"]

    reply = world.call("POST", f"/instances/{instance.id}/databases", names("orders", "people", "stock"))

    assert reply.status == 202
    assert world.told() == [
        "database_create.start orders",
        "database_create.start people",
        "database_create.start stock",
        "database_create.error people",
    ]
    error = world.events()[-1].payload
    assert (error["error_code"], error["fault"]) == ("database_exists", "user")
    assert {run.item for run in world.open_runs()} == {"orders", "stock"}
    assert {cast.args["database"]["name"] for cast in guest.notes.casts(2)} == {"orders", "stock"}


def test_a_call_of_which_nothing_is_left_is_refused(world: World) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.databases = ["people"]

    reply = world.call("POST", f"/instances/{instance.id}/databases", names("people"))

    assert (reply.status, reply.title) == (400, "badRequest")
    assert "people" in reply.message
    assert world.told() == ["database_create.start people", "database_create.error people"]
    assert guest.notes.count == 0
    assert world.open_runs() == []


def test_without_its_guest_every_run_fails(world: World) -> None:
    instance = world.has()

    reply = world.call("POST", f"/instances/{instance.id}/databases", names("a", "b"))

    assert (reply.status, reply.title) == (503, "serviceUnavailable")
    assert world.told() == [
        "database_create.start a",
        "database_create.start b",
        "database_create.error a",
        "database_create.error b",
    ]
    errors = world.events()[2:]
    assert {(event.payload["error_code"], event.payload["fault"]) for event in errors} == {
        ("guest_unreachable", "system")
    }
    assert world.row(instance.id).state is InstanceState.ACTIVE
    assert world.open_runs() == []


def test_if_the_api_itself_stumbles_no_run_stays_open(world: World) -> None:
    def broken(_instance_id: str) -> GuestClient:
        raise RuntimeError("nobody foresaw this")

    instance = world.has()
    client = testing.TestClient(build_app(replace(world.services, guest=broken)))

    result = client.simulate_post(
        f"/v1.0/{PROJECT}/instances/{instance.id}/databases",
        json=names("a", "b"),
        headers={"Host": "localhost"},
        extras={"REMOTE_ADDR": "127.0.0.1"},
    )

    assert result.status_code == 500
    assert world.told()[2:] == ["database_create.error a", "database_create.error b"]
    assert {event.payload["fault"] for event in world.events()[2:]} == {"system"}
    assert world.open_runs() == []


@pytest.mark.parametrize("state", [InstanceState.BUILD, InstanceState.ERROR, InstanceState.SHUTDOWN])
def test_a_wrong_state_is_an_announced_refusal(world: World, state: InstanceState) -> None:
    instance = world.has(state=state)

    reply = world.call("POST", f"/instances/{instance.id}/databases", names("a"))

    assert reply.status == 422
    assert world.told() == ["database_create.start a", "database_create.error a"]
    assert world.open_runs() == []


REFUSED = [
    ("no list", {}),
    ("a list of texts", {"databases": ["a"]}),
    ("nothing", names()),
    ("null", {"databases": None}),
    ("201 at once", names(*(f"db{number}" for number in range(201)))),
    ("the same twice", names("a", "a")),
    ("an empty name", names("")),
    ("300 characters", names("d" * 300)),
    ("a NUL", names("a\0b")),
    ("a line break", names("a\nb")),
    ("half a surrogate pair", names("a\ud800")),
    ("a name of the engine's", names("postgres")),
    ("a name that a URL would end at", names("a?b")),
    ("a name that a URL would decode", names("a%41")),
    ("a name that would be two in a list", names("a,b")),
    ("a step up", names("..")),
    ("a name of the wrong type", {"databases": [{"name": 5}]}),
    ("an attribute too many", {"databases": [{"name": "a", "colour": "red"}]}),
    ("an unknown character set", {"databases": [{"name": "a", "character_set": "koi8"}]}),
    ("an unknown collation", {"databases": [{"name": "a", "collate": "de_DE"}]}),
]


@pytest.mark.parametrize("body", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_body_of_the_wrong_shape_begins_nothing(world: World, body: object) -> None:
    instance = world.has()

    reply = world.call("POST", f"/instances/{instance.id}/databases", body)

    assert (reply.status, reply.title) == (400, "badRequest")
    assert world.events() == []


def test_character_set_and_collation_reach_the_guest(world: World) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)
    wanted = {"name": "a", "character_set": "utf8", "collate": "C"}

    assert world.call("POST", f"/instances/{instance.id}/databases", {"databases": [wanted]}).status == 202

    (cast,) = guest.notes.casts(1)
    assert cast.args["database"] == wanted


def test_a_database_is_deleted_by_the_guest(world: World) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.databases = ["orders", "o'r; d"]

    replies = [
        world.call("DELETE", f"/instances/{instance.id}/databases/{name}") for name in ("orders", "o'r;%20d")
    ]

    assert [reply.status for reply in replies] == [202, 202]
    assert {cast.args["name"] for cast in guest.notes.casts(2)} == {"orders", "o'r; d"}
    assert world.told() == ["database_delete.start orders", "database_delete.start o'r; d"]


def test_deleting_an_unknown_database_is_an_announced_refusal(world: World) -> None:
    instance = world.has()
    world.start_guest(instance.id)

    reply = world.call("DELETE", f"/instances/{instance.id}/databases/orders")

    assert (reply.status, reply.title) == (404, "itemNotFound")
    assert world.told() == ["database_delete.start orders", "database_delete.error orders"]
    assert world.open_runs() == []


def test_deleting_what_cannot_be_called_so_begins_nothing(world: World) -> None:
    instance = world.has()

    for name in ("x" * 300, "a%00b", "template0"):
        assert world.call("DELETE", f"/instances/{instance.id}/databases/{name}").status == 404
    assert world.events() == []


def test_databases_are_listed_in_pages(world: World) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.databases = [f"db{number:02}" for number in range(25)]

    first = world.call("GET", f"/instances/{instance.id}/databases")
    second = world.call("GET", f"/instances/{instance.id}/databases?marker=db19")

    assert [each["name"] for each in first.body["databases"]] == guest.databases[:20]
    (link,) = first.body["links"]
    assert link["rel"] == "next"
    assert link["href"].endswith("/databases?limit=20&marker=db19")
    assert [each["name"] for each in second.body["databases"]] == guest.databases[20:]
    assert "links" not in second.body


@pytest.mark.parametrize(
    "answer", [None, "x", [1], [{"name": 1}], [{"title": "x"}], GuestFailed(reason="x"), Unauthorized()]
)
def test_what_a_guest_should_not_say_is_its_failure(world: World, answer: object) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.answers["list_databases"] = answer

    reply = world.call("GET", f"/instances/{instance.id}/databases")

    # The client of the RPC drops what is no row at all; the rest is the guest's failure, never the caller's.
    assert reply.status in ({200} if answer in (None, "x", [1]) else {500})


def test_a_listing_waits_for_no_server_that_is_not_there(world: World) -> None:
    instance = world.has(state=InstanceState.BUILD)

    assert world.call("GET", f"/instances/{instance.id}/databases").status == 422
