"""Users and root over HTTP: as databases, and with passwords that are seen nowhere but at the guest."""

import logging

import pytest
from tests.functional.api.world import World

from coffer.catalogue.states import InstanceState

PASSWORD = "s3cret-of-ann"


def user(name: str = "ann", **changes: object) -> dict[str, object]:
    return {"name": name, "password": PASSWORD, "databases": [], **changes}


def test_each_user_of_a_call_is_a_run_and_only_the_guest_learns_the_password(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    instance = world.has()
    guest = world.start_guest(instance.id)

    body = {"users": [user("ann", databases=[{"name": "orders"}]), user("bob@home")]}
    reply = world.call("POST", f"/instances/{instance.id}/users", body)

    assert (reply.status, reply.body) == (202, None)
    assert world.told() == ["user_create.start ann", "user_create.start bob@home"]
    sent = {cast.args["user"]["name"]: cast.args["user"] for cast in guest.notes.casts(2)}
    assert sent["ann"] == {
        "name": "ann",
        "password": PASSWORD,
        "host": "%",
        "databases": [{"name": "orders"}],
    }
    stored = f"{world.events()} {world.open_runs()}"
    assert PASSWORD not in stored
    assert PASSWORD not in caplog.text


def test_only_who_exists_already_fails(world: World) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.users = {"ann": []}

    reply = world.call("POST", f"/instances/{instance.id}/users", {"users": [user("ann"), user("bob")]})

    assert reply.status == 202
    assert world.told() == ["user_create.start ann", "user_create.start bob", "user_create.error ann"]
    assert world.events()[-1].payload["error_code"] == "user_exists"
    (cast,) = guest.notes.casts(1)
    assert cast.args["user"]["name"] == "bob"


REFUSED = [
    ("no password", {"users": [{"name": "ann"}]}, "password"),
    ("an empty password", {"users": [user(password="")]}, "users[0].password"),
    ("a password with a NUL", {"users": [user(password="a\0b")]}, "users[0].password"),
    ("a password that is a number", {"users": [user(password=5)]}, "users[0].password"),
    ("a password that is null", {"users": [user(password=None)]}, "users[0].password"),
    ("a password of 3000 characters", {"users": [user(password=PASSWORD * 300)]}, "users[0].password"),
    ("nobody", {"users": []}, "users"),
    ("the same user twice", {"users": [user(), user()]}, "ann"),
    ("the engine's own", {"users": [user("os_admin")]}, "users[0].name"),
    ("a name with a slash", {"users": [user("a/b")]}, "users[0].name"),
    ("a name with a comma", {"users": [user("a,b")]}, "users[0].name"),
    ("a host", {"users": [user(host="10.0.0.1")]}, "users[0].host"),
    ("a database twice", {"users": [user(databases=[{"name": "a"}] * 2)]}, "named twice"),
    ("a database that cannot be", {"users": [user(databases=[{"name": "\0"}])]}, "users[0].databases[0].name"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "word"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_body_of_the_wrong_shape_begins_nothing_and_quotes_no_password(
    world: World, caplog: pytest.LogCaptureFixture, body: object, word: str
) -> None:
    caplog.set_level(logging.DEBUG)
    instance = world.has()

    reply = world.call("POST", f"/instances/{instance.id}/users", body)

    assert (reply.status, reply.title) == (400, "badRequest")
    assert word in reply.message
    assert PASSWORD not in reply.message
    assert PASSWORD not in caplog.text
    assert world.events() == []


PATHS = [
    ("ann", "ann"),
    ("ann%40%25", "ann"),
    ("ann%40", "ann"),
    ("a%2en%2en%40%25", "a.n.n"),
    ("a%40b%40%25", "a@b"),
    ("a%40b", "a@b"),
    ("%D0%B0%D0%BD%D0%BD%D0%B0%40%25", "анна"),
    ("a%27%3B%22%20b", "a';\" b"),
]


@pytest.mark.parametrize(("path", "name"), PATHS)
def test_a_user_is_found_however_the_client_writes_him(world: World, path: str, name: str) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.users = {name: ["orders"], "other": []}

    shown = world.call("GET", f"/instances/{instance.id}/users/{path}")
    access = world.call("GET", f"/instances/{instance.id}/users/{path}/databases")
    deleted = world.call("DELETE", f"/instances/{instance.id}/users/{path}")

    assert shown.body == {"user": {"name": name, "host": "%", "databases": [{"name": "orders"}]}}
    assert access.body == {"databases": [{"name": "orders"}]}
    assert deleted.status == 202
    (cast,) = guest.notes.casts(1)
    assert cast.args == {"name": name, "host": "%"}
    assert world.told() == [f"user_delete.start {name}"]


def test_an_unknown_user_is_not_found_and_his_deletion_announced(world: World) -> None:
    instance = world.has()
    world.start_guest(instance.id)

    assert world.call("GET", f"/instances/{instance.id}/users/ann").status == 404
    assert world.call("GET", f"/instances/{instance.id}/users/ann/databases").status == 404
    assert world.events() == []
    assert world.call("DELETE", f"/instances/{instance.id}/users/ann").status == 404
    assert world.told() == ["user_delete.start ann", "user_delete.error ann"]
    assert world.call("DELETE", f"/instances/{instance.id}/users/os_admin").status == 404
    assert len(world.events()) == 2


def test_users_are_listed_in_pages_without_passwords(world: World) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.users = {"ann": ["orders"], "bob": [], "cid": []}

    first = world.call("GET", f"/instances/{instance.id}/users?limit=2")

    assert first.body["users"] == [
        {"name": "ann", "host": "%", "databases": [{"name": "orders"}]},
        {"name": "bob", "host": "%", "databases": []},
    ]
    assert first.body["links"][0]["href"].endswith("?limit=2&marker=bob%2540%2525")
    rest = world.call("GET", f"/instances/{instance.id}/users?limit=2&marker=bob%40%25")
    assert [each["name"] for each in rest.body["users"]] == ["cid"]


def test_root_is_enabled_with_the_tenants_password_or_one_of_the_server(world: World) -> None:
    instance = world.has()
    world.start_guest(instance.id)
    path = f"/instances/{instance.id}/root"

    assert world.call("GET", path).body == {"rootEnabled": False}
    assert world.call("POST", path).body == {"user": {"name": "postgres", "password": "made-by-the-guest"}}
    mine = world.call("POST", path, {"password": PASSWORD})
    assert mine.body == {"user": {"name": "postgres", "password": PASSWORD}}
    assert world.call("GET", path).body == {"rootEnabled": True}
    assert world.row(instance.id).root_enabled_at is not None
    assert world.events() == []


@pytest.mark.parametrize("body", [{"password": ""}, {"password": 5}, {"pass": "x"}, []])
def test_root_is_not_enabled_by_a_body_of_the_wrong_shape(world: World, body: object) -> None:
    instance = world.has()

    assert world.call("POST", f"/instances/{instance.id}/root", body).status == 400


def test_root_of_an_instance_that_is_not_there_yet_is_refused(world: World) -> None:
    instance = world.has(state=InstanceState.BUILD)

    assert world.call("POST", f"/instances/{instance.id}/root").status == 422
    assert world.call("GET", f"/instances/{instance.id}/root").status == 422


def test_an_unreadable_answer_about_root_shows_no_password(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.answers["enable_root"] = {"name": 5, "password": PASSWORD}

    reply = world.call("POST", f"/instances/{instance.id}/root")

    assert reply.status == 500
    assert PASSWORD not in reply.message
    assert PASSWORD not in caplog.text
