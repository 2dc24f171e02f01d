"""Renames and new passwords over HTTP: a run a user, handed to the guest, and the password with it alone."""

import logging
from datetime import timedelta

import pytest
from tests.functional.api.world import World

from coffer.catalogue.states import InstanceState
from coffer.lifecycle.emitter import utcnow
from coffer.lifecycle.runs import Lifecycle
from coffer.lifecycle.watchdog import Watchdog

PASSWORD = "s3cret-of-ann"


def passwords(*names: object) -> dict[str, object]:
    return {"users": [{"name": name, "password": PASSWORD} for name in names]}


def test_each_user_of_a_call_is_a_run_and_only_the_guest_learns_the_password(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.users = {"ann": [], "bob": []}

    reply = world.call("PUT", f"/instances/{instance.id}/users", passwords("ann", "bob"))

    assert (reply.status, reply.body) == (202, None)
    assert world.told() == ["user_change_password.start ann", "user_change_password.start bob"]
    sent = sorted((cast.args["user"]["name"], cast.args["user"]["password"]) for cast in guest.notes.casts(2))
    assert sent == [("ann", PASSWORD), ("bob", PASSWORD)]
    assert {cast.context.notification.run_id for cast in guest.notes.casts(2)} == {
        run.run_id for run in world.open_runs() if run.handed_to == instance.id
    }
    assert PASSWORD not in f"{world.events()} {world.open_runs()}"
    assert PASSWORD not in caplog.text


def test_exactly_the_user_who_is_not_there_fails(world: World) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.users = {"ann": []}

    reply = world.call("PUT", f"/instances/{instance.id}/users", passwords("nobody", "ann"))

    assert reply.status == 202
    assert world.told()[2:] == ["user_change_password.error nobody"]
    assert world.events()[-1].payload["error_code"] == "not_found"
    (cast,) = guest.notes.casts(1)
    assert cast.args["user"]["name"] == "ann"
    assert world.call("PUT", f"/instances/{instance.id}/users", passwords("nobody")).status == 404


REFUSED_PASSWORDS = [
    ("nobody", {"users": []}, "users"),
    ("no password", {"users": [{"name": "ann"}]}, "password"),
    ("an empty password", {"users": [{"name": "ann", "password": ""}]}, "users[0].password"),
    ("a password with a NUL", {"users": [{"name": "ann", "password": PASSWORD + "\0"}]}, "users[0].password"),
    ("a long password", {"users": [{"name": "ann", "password": PASSWORD * 50}]}, "users[0].password"),
    ("a name with a NUL", passwords("a\0b"), "users[0].name"),
    ("a long name", passwords("x" * 64), "users[0].name"),
    ("the engine's own", passwords("os_admin"), "users[0].name"),
    ("a host", {"users": [{"name": "ann", "password": PASSWORD, "host": "10.0.0.1"}]}, "users[0].host"),
    ("one twice", passwords("ann", "ann"), "ann"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "word"), [row[1:] for row in REFUSED_PASSWORDS], ids=[row[0] for row in REFUSED_PASSWORDS]
)
def test_passwords_of_the_wrong_shape_begin_nothing_and_are_not_quoted(
    world: World, caplog: pytest.LogCaptureFixture, body: object, word: str
) -> None:
    caplog.set_level(logging.DEBUG)
    instance = world.has()

    reply = world.call("PUT", f"/instances/{instance.id}/users", body)

    assert reply.status == 400
    assert word in reply.message
    assert PASSWORD not in reply.message + caplog.text
    assert world.events() == []


CHANGES = [
    ("a name", {"name": "new"}),
    ("a password", {"password": PASSWORD}),
    ("the only host there is", {"host": "%"}),
    ("all of it", {"name": "new", "password": PASSWORD, "host": "%"}),
    ("the name that he has", {"name": "ann"}),
]


@pytest.mark.parametrize("changes", [row[1] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_what_is_to_change_travels_to_the_guest_and_the_old_name_into_the_event(
    world: World, changes: dict[str, str]
) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.users = {"ann": []}

    reply = world.call("PUT", f"/instances/{instance.id}/users/ann%40%25", {"user": changes})

    assert (reply.status, reply.body) == (202, None)
    assert world.told() == ["user_update_attributes.start ann"]
    (cast,) = guest.notes.casts(1)
    assert cast.args == {"name": "ann", "host": "%", "changes": changes}
    assert PASSWORD not in f"{world.events()} {world.open_runs()}"


def test_an_unknown_user_and_a_name_that_is_taken_end_the_run(world: World) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.users = {"ann": [], "bob": []}

    unknown = world.call("PUT", f"/instances/{instance.id}/users/nobody", {"user": {"name": "bob"}})
    taken = world.call("PUT", f"/instances/{instance.id}/users/ann", {"user": {"name": "bob"}})

    assert (unknown.status, taken.status) == (404, 400)
    assert taken.message == "A user with the name bob already exists."
    assert world.told()[1::2] == ["user_update_attributes.error nobody", "user_update_attributes.error ann"]
    assert [event.payload["error_code"] for event in world.events()[1::2]] == ["not_found", "user_exists"]
    assert guest.notes.count == 0


REFUSED_CHANGES = [
    ("nothing", {"user": {}}, "user"),
    ("no user", {}, "user"),
    ("a name that is null", {"user": {"name": None}}, "user.name"),
    ("a name with a NUL", {"user": {"name": "a\0b"}}, "user.name"),
    ("a long name", {"user": {"name": "x" * 64}}, "user.name"),
    ("a name with a slash", {"user": {"name": "a/b"}}, "user.name"),
    ("the engine's own", {"user": {"name": "postgres"}}, "user.name"),
    ("an empty password", {"user": {"password": ""}}, "user.password"),
    ("a password with a NUL", {"user": {"password": PASSWORD + "\0"}}, "user.password"),
    ("a host where users have none", {"user": {"host": "10.0.0.1"}}, "users of this datastore have no hosts"),
    ("a host beside a password", {"user": {"password": PASSWORD, "host": "h"}}, "user.host"),
    ("an unknown member", {"user": {"password": PASSWORD, "databases": []}}, "databases"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "word"), [row[1:] for row in REFUSED_CHANGES], ids=[row[0] for row in REFUSED_CHANGES]
)
def test_a_change_of_the_wrong_shape_begins_nothing_and_quotes_no_password(
    world: World, caplog: pytest.LogCaptureFixture, body: object, word: str
) -> None:
    caplog.set_level(logging.DEBUG)
    instance = world.has()

    reply = world.call("PUT", f"/instances/{instance.id}/users/ann", body)

    assert reply.status == 400
    assert word in reply.message
    assert PASSWORD not in reply.message + caplog.text
    assert world.events() == []


CALLS = [("users", passwords("ann")), ("users/ann", {"user": {"password": PASSWORD}})]


@pytest.mark.parametrize(("path", "body"), CALLS)
def test_a_silent_guest_is_our_fault_and_leaves_the_instance_alone(
    world: World, path: str, body: object
) -> None:
    instance = world.has()

    reply = world.call("PUT", f"/instances/{instance.id}/{path}", body)

    assert (reply.status, reply.title) == (503, "serviceUnavailable")
    assert (world.events()[-1].payload["error_code"], world.events()[-1].payload["fault"]) == (
        "guest_unreachable",
        "system",
    )
    assert world.row(instance.id).state is InstanceState.ACTIVE
    assert world.open_runs() == []


@pytest.mark.parametrize(("path", "body"), CALLS)
def test_in_the_wrong_state_nothing_is_asked_of_the_guest(world: World, path: str, body: object) -> None:
    instance = world.has(state=InstanceState.REBOOT)

    assert world.call("PUT", f"/instances/{instance.id}/{path}", body).status == 422
    assert world.events()[-1].payload["error_code"] == "wrong_state"


def test_root_is_disabled_once_it_was_enabled(world: World) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)
    path = f"/instances/{instance.id}/root"

    assert (world.call("DELETE", path).status, world.call("DELETE", path).title) == (404, "itemNotFound")
    world.call("POST", path)
    reply = world.call("DELETE", path)
    assert (reply.status, reply.body) == (204, None)
    assert guest.root_password is None
    assert world.call("GET", path).body == {"rootEnabled": False}
    assert world.call("DELETE", path).status == 204
    assert world.events() == []


def test_root_is_disabled_although_its_enabling_was_never_answered(world: World) -> None:
    instance = world.has()
    world.start_guest(instance.id).root_password = "of-an-answer-that-was-lost"

    assert world.call("DELETE", f"/instances/{instance.id}/root").status == 204


def test_root_cannot_be_disabled_where_nobody_answers(world: World) -> None:
    silent, building = world.has(), world.has(state=InstanceState.BUILD)

    assert world.call("DELETE", f"/instances/{silent.id}/root").status == 503
    assert world.call("DELETE", f"/instances/{building.id}/root").status == 422


@pytest.mark.parametrize(("path", "body"), CALLS)
def test_a_guest_that_dies_with_the_task_is_given_up_at_the_deadline(
    world: World, path: str, body: object
) -> None:
    instance = world.has()
    guest = world.start_guest(instance.id)
    guest.users = {"ann": []}
    world.call("PUT", f"/instances/{instance.id}/{path}", body)
    guest.notes.casts(1)  # taken, and never heard of again
    later = Lifecycle(
        world.database, world.lifecycle.announcer, clock=lambda: utcnow() + timedelta(seconds=121)
    )

    Watchdog(later, resume=lambda _: None).sweep()

    error = world.events()[-1].payload
    assert (error["error_code"], error["fault"]) == ("deadline_exceeded", "system")
    assert world.row(instance.id).state is InstanceState.ACTIVE
    assert world.call("PUT", f"/instances/{instance.id}/{path}", body).status == 202
