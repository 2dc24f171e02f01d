"""Grant and revoke over HTTP: the guest is waited for, and the API ends each run itself."""

import pytest
from tests.functional.api.world import GuestDouble, World

from coffer.catalogue.errors import Fault, GuestFailed, GuestUnreachable, Reset
from coffer.catalogue.states import InstanceState
from coffer.lifecycle.resetting import reset
from coffer.store.instances import Instance


@pytest.fixture
def served(world: World) -> tuple[Instance, GuestDouble]:
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.databases = ["orders", "stock", "archive"]
    guest.users = {"ann": [], "bob": ["orders", "stock"]}
    return instance, guest


def named(*names: object) -> dict[str, object]:
    return {"databases": [{"name": name} for name in names]}


def test_each_database_of_a_grant_is_a_run_that_the_api_ends(
    world: World, served: tuple[Instance, GuestDouble]
) -> None:
    instance, guest = served

    reply = world.call("PUT", f"/instances/{instance.id}/users/ann%40%25/databases", named("orders", "stock"))

    assert (reply.status, reply.body) == (202, None)
    assert guest.users["ann"] == ["orders", "stock"]
    assert world.told() == [
        "user_grant.start ann orders",
        "user_grant.start ann stock",
        "user_grant.end ann orders",
        "user_grant.end ann stock",
    ]
    events = world.events()
    assert {event.payload["request_id"] for event in events} == {reply.headers["x-openstack-request-id"]}
    assert {event.payload["server_type"] for event in events} == {"api"}
    assert len({event.payload["run_id"] for event in events}) == 2
    assert world.open_runs() == []


def test_exactly_the_database_that_is_not_there_fails(
    world: World, served: tuple[Instance, GuestDouble]
) -> None:
    instance, guest = served

    reply = world.call(
        "PUT", f"/instances/{instance.id}/users/ann/databases", named("orders", "nowhere", "stock")
    )

    assert reply.status == 202
    assert guest.users["ann"] == ["orders", "stock"]
    assert world.told()[3:] == [
        "user_grant.end ann orders",
        "user_grant.error ann nowhere",
        "user_grant.end ann stock",
    ]
    error = world.events()[4].payload
    assert (error["error_code"], error["fault"]) == ("not_found", "user")


def test_a_grant_to_nobody_fails_as_a_whole(world: World, served: tuple[Instance, GuestDouble]) -> None:
    instance, _ = served

    reply = world.call("PUT", f"/instances/{instance.id}/users/nobody/databases", named("orders", "stock"))

    assert (reply.status, reply.message) == (404, "User nobody cannot be found.")
    assert world.told()[2:] == ["user_grant.error nobody orders", "user_grant.error nobody stock"]


def test_a_revocation_names_the_database_that_is_revoked(
    world: World, served: tuple[Instance, GuestDouble]
) -> None:
    instance, guest = served

    reply = world.call("DELETE", f"/instances/{instance.id}/users/bob%40%25/databases/orders")

    assert (reply.status, reply.body) == (202, None)
    assert guest.users["bob"] == ["stock"]
    assert world.told() == ["user_revoke.start bob orders", "user_revoke.end bob orders"]
    assert world.call("DELETE", f"/instances/{instance.id}/users/bob/databases/nowhere").status == 404
    assert world.told()[2:] == ["user_revoke.start bob nowhere", "user_revoke.error bob nowhere"]


REFUSED = [
    ("nothing", named(), "databases"),
    ("no list", {}, "databases"),
    ("a number", named(5), "databases[0].name"),
    ("a NUL", named("a\0b"), "databases[0].name"),
    ("a name that is too long", named("orders", "x" * 64), "databases[1].name"),
    ("the engine's own", named("template1"), "databases[0].name"),
    ("one twice", named("orders", "orders"), "named twice"),
    ("an unknown member", {**named("orders"), "user": "ann"}, "user"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "word"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_grant_of_the_wrong_shape_begins_nothing(
    world: World, served: tuple[Instance, GuestDouble], body: object, word: str
) -> None:
    instance, _ = served

    reply = world.call("PUT", f"/instances/{instance.id}/users/ann/databases", body)

    assert reply.status == 400
    assert word in reply.message
    assert world.events() == []


@pytest.mark.parametrize(
    "path",
    [
        "users/os_admin/databases/orders",
        "users/ann/databases/template1",
        f"users/{'x' * 64}/databases/orders",
        "users/a%00b/databases/orders",
    ],
)
def test_what_nobody_can_be_called_is_not_found_and_not_announced(
    world: World, served: tuple[Instance, GuestDouble], path: str
) -> None:
    instance, _ = served

    assert world.call("DELETE", f"/instances/{instance.id}/{path}").status == 404
    assert world.events() == []


def test_in_the_wrong_state_nothing_is_asked_of_the_guest(world: World) -> None:
    instance = world.has(state=InstanceState.BUILD)

    reply = world.call("PUT", f"/instances/{instance.id}/users/ann/databases", named("orders"))

    assert reply.status == 422
    assert world.told() == ["user_grant.start ann orders", "user_grant.error ann orders"]
    assert world.events()[-1].payload["fault"] == "user"


def test_a_silent_guest_is_waited_for_once_and_is_our_fault(world: World) -> None:
    instance = world.has()

    reply = world.call("PUT", f"/instances/{instance.id}/users/ann/databases", named("a", "b", "c"))

    assert (reply.status, reply.title) == (503, "serviceUnavailable")
    assert [event.payload["error_code"] for event in world.events()[3:]] == [GuestUnreachable.code] * 3
    assert {event.payload["fault"] for event in world.events()[3:]} == {"system"}
    # Asked once, not three times: the three ended together.
    times = [event.timestamp for event in world.events()[3:]]
    assert (max(times) - min(times)).total_seconds() < 0.4
    assert world.row(instance.id).state is InstanceState.ACTIVE


def test_a_guest_that_dies_in_the_middle_leaves_what_was_done(
    world: World, served: tuple[Instance, GuestDouble]
) -> None:
    instance, guest = served

    def die_after_one(_method: str, _truth: object) -> None:
        if guest.users["ann"]:
            raise GuestUnreachable(id=instance.id, timeout_s=15.0)

    guest.answer = die_after_one  # type: ignore[method-assign, assignment]

    reply = world.call(
        "PUT", f"/instances/{instance.id}/users/ann/databases", named("orders", "stock", "archive")
    )

    assert reply.status == 202
    assert guest.users["ann"] == ["orders"]
    assert world.told()[3:] == [
        "user_grant.end ann orders",
        "user_grant.error ann stock",
        "user_grant.error ann archive",
    ]
    assert {event.payload["fault"] for event in world.events()[4:]} == {Fault.SYSTEM}


def test_a_refusal_of_the_server_is_told_with_its_reason(
    world: World, served: tuple[Instance, GuestDouble]
) -> None:
    instance, guest = served
    guest.answers["revoke_access"] = GuestFailed(reason="The database server is not running.")

    reply = world.call("DELETE", f"/instances/{instance.id}/users/bob/databases/orders")

    assert (reply.status, reply.message) == (500, "The database server is not running.")
    assert world.events()[-1].payload["message"] == reply.message


def test_a_run_that_was_ended_meanwhile_is_no_success(
    world: World, served: tuple[Instance, GuestDouble]
) -> None:
    instance, guest = served

    def reset_meanwhile(_method: str, _truth: object) -> None:
        reset(world.lifecycle, instance.id, heartbeat_expiry_s=90.0)

    guest.answer = reset_meanwhile  # type: ignore[method-assign, assignment]

    reply = world.call("PUT", f"/instances/{instance.id}/users/ann/databases", named("orders"))

    assert (reply.status, reply.title) == (409, "conflict")
    assert world.told() == ["user_grant.start ann orders", "user_grant.error ann orders"]
    assert world.events()[-1].payload["error_code"] == Reset.code
