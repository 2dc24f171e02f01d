"""The users of an instance and what they may do."""

from collections.abc import Generator

from tests.functional.operations.case import Call, Row, Told
from tests.functional.operations.stage import Stage, login_of
from tests.support.control_plane import DATABASE, PASSWORD, USER

Case = Generator[Call, Told, None]
NEW = "a new secret"


def _one(stage: Stage, name: str) -> str:
    return f"{stage.path}/users/{login_of(name)}"


def _about(stage: Stage, *names: str, **more: str) -> list[dict[str, object]]:
    return [{"instance_id": stage.instance_id, "username": name, **more} for name in names]


# --- create -----------------------------------------------------------------------------------------


def _create(stage: Stage, *names: str, answers: int = 202, error: str | None = None) -> Call:
    users = [{"name": name, "password": NEW, "databases": [{"name": DATABASE}]} for name in names]
    return Call(
        method="POST",
        path=f"{stage.path}/users",
        body={"users": users},
        answers=answers,
        starts=_about(stage, *names),
        error=error,
    )


def created(stage: Stage) -> Case:
    names = [stage.name("user") for _ in range(2)]
    yield _create(stage, *names)
    assert all(stage.lets_in(name, NEW) for name in names)
    for name in names:
        stage.done("DELETE", _one(stage, name))


def create_of_one_who_is_there(stage: Stage) -> Case:
    yield _create(stage, USER, answers=400, error="user_exists")
    assert stage.lets_in(USER, PASSWORD)


def create_on_a_killed_server(stage: Stage) -> Case:
    name = stage.name("user")
    stage.kill_server()
    yield _create(stage, name, answers=500, error="guest_failed")
    assert stage.state() == "ACTIVE"
    stage.restart()
    assert name not in stage.users()
    stage.done("POST", f"{stage.path}/users", {"users": [{"name": name, "password": NEW}]})
    stage.done("DELETE", _one(stage, name))


# --- delete -----------------------------------------------------------------------------------------


def _delete(stage: Stage, name: str, *, answers: int = 202, error: str | None = None) -> Call:
    return Call(
        method="DELETE",
        path=_one(stage, name),
        answers=answers,
        starts=_about(stage, name),
        error=error,
    )


def deleted(stage: Stage) -> Case:
    name = stage.user()
    yield _delete(stage, name)
    assert name not in stage.users()
    assert not stage.lets_in(name, "tiger")


def delete_of_one_who_is_not_there(stage: Stage) -> Case:
    before = stage.users()
    yield _delete(stage, "nobody", answers=404, error="not_found")
    assert stage.users() == before


def delete_with_the_guest_away(stage: Stage) -> Case:
    name = stage.user()
    with stage.guest_away():
        yield _delete(stage, name, answers=503, error="guest_unreachable")
        assert stage.lets_in(name, "tiger")
    stage.done("DELETE", _one(stage, name))
    assert name not in stage.users()


# --- update attributes ------------------------------------------------------------------------------


def _update(
    stage: Stage, name: str, changes: dict[str, str], *, answers: int = 202, error: str | None = None
) -> Call:
    return Call(
        method="PUT",
        path=_one(stage, name),
        body={"user": changes},
        answers=answers,
        starts=_about(stage, name),
        error=error,
    )


def updated(stage: Stage) -> Case:
    old, new = stage.user(), stage.name("user")
    yield _update(stage, old, {"name": new, "password": NEW})
    assert stage.lets_in(new, NEW)
    assert old not in stage.users()
    stage.done("DELETE", _one(stage, new))


def update_to_the_name_of_another(stage: Stage) -> Case:
    name = stage.user()
    before = stage.users()
    yield _update(stage, name, {"name": USER, "password": NEW}, answers=400, error="user_exists")
    assert stage.users() == before
    assert stage.lets_in(name, "tiger")
    stage.done("DELETE", _one(stage, name))


def update_with_the_guest_away(stage: Stage) -> Case:
    old, new = stage.user(), stage.name("user")
    with stage.guest_away():
        yield _update(stage, old, {"name": new}, answers=503, error="guest_unreachable")
        assert stage.lets_in(old, "tiger")
    stage.done("PUT", _one(stage, old), {"user": {"name": new, "password": NEW}})
    assert stage.lets_in(new, NEW)
    stage.done("DELETE", _one(stage, new))


# --- grant and revoke -------------------------------------------------------------------------------


def _grant(stage: Stage, name: str, *databases: str, answers: int = 202, error: str | None = None) -> Call:
    return Call(
        method="PUT",
        path=f"{_one(stage, name)}/databases",
        body={"databases": [{"name": each} for each in databases]},
        answers=answers,
        starts=[start for each in databases for start in _about(stage, name, database=each)],
        error=error,
    )


def granted(stage: Stage) -> Case:
    databases, name = [stage.database() for _ in range(2)], stage.user()
    assert not stage.lets_in(name, "tiger", databases[0])
    yield _grant(stage, name, *databases)
    assert all(stage.lets_in(name, "tiger", each) for each in databases)
    stage.done("DELETE", _one(stage, name))
    for each in databases:
        stage.done("DELETE", f"{stage.path}/databases/{each}")


def grant_of_a_database_that_is_not_there(stage: Stage) -> Case:
    yield _grant(stage, USER, "nothing", answers=404, error="not_found")


def grant_on_a_killed_server(stage: Stage) -> Case:
    database, name = stage.database(), stage.user()
    stage.kill_server()
    yield _grant(stage, name, database, answers=500, error="guest_failed")
    stage.restart()
    assert not stage.lets_in(name, "tiger", database)
    stage.call("PUT", f"{_one(stage, name)}/databases", {"databases": [{"name": database}]})
    assert stage.lets_in(name, "tiger", database)
    stage.done("DELETE", _one(stage, name))
    stage.done("DELETE", f"{stage.path}/databases/{database}")


def _revoke(stage: Stage, name: str, database: str, *, answers: int = 202, error: str | None = None) -> Call:
    return Call(
        method="DELETE",
        path=f"{_one(stage, name)}/databases/{database}",
        answers=answers,
        starts=_about(stage, name, database=database),
        error=error,
    )


def revoked(stage: Stage) -> Case:
    name = stage.user()
    assert stage.lets_in(name, "tiger")
    yield _revoke(stage, name, DATABASE)
    assert not stage.lets_in(name, "tiger")
    stage.done("DELETE", _one(stage, name))


def revoke_of_somebody_who_is_not_there(stage: Stage) -> Case:
    yield _revoke(stage, "nobody", DATABASE, answers=404, error="not_found")
    assert stage.lets_in(USER, PASSWORD)


def revoke_with_the_guest_away(stage: Stage) -> Case:
    name = stage.user()
    with stage.guest_away():
        yield _revoke(stage, name, DATABASE, answers=503, error="guest_unreachable")
        assert stage.lets_in(name, "tiger")
    # What was announced as an error is not done by the agent that comes back either.
    assert stage.control.call("DELETE", f"{_one(stage, name)}/databases/{DATABASE}")[0] == 202
    assert not stage.lets_in(name, "tiger")
    stage.done("DELETE", _one(stage, name))


# --- change passwords -------------------------------------------------------------------------------


def _change(stage: Stage, *names: str, answers: int = 202, error: str | None = None) -> Call:
    return Call(
        method="PUT",
        path=f"{stage.path}/users",
        body={"users": [{"name": name, "password": NEW} for name in names]},
        answers=answers,
        starts=_about(stage, *names),
        error=error,
    )


def passwords_changed(stage: Stage) -> Case:
    names = [stage.user() for _ in range(2)]
    yield _change(stage, *names)
    for name in names:
        assert stage.lets_in(name, NEW)
        assert not stage.lets_in(name, "tiger")
        stage.done("DELETE", _one(stage, name))


def password_of_somebody_who_is_not_there(stage: Stage) -> Case:
    yield _change(stage, "nobody", answers=404, error="not_found")
    assert stage.lets_in(USER, PASSWORD)


def password_changed_on_a_killed_server(stage: Stage) -> Case:
    name = stage.user()
    stage.kill_server()
    yield _change(stage, name, answers=500, error="guest_failed")
    stage.restart()
    assert stage.lets_in(name, "tiger")
    stage.done("PUT", f"{stage.path}/users", {"users": [{"name": name, "password": NEW}]})
    assert stage.lets_in(name, NEW)
    stage.done("DELETE", _one(stage, name))


ROWS = (
    Row(
        operation="user_create",
        success=created,
        user_fault=create_of_one_who_is_there,
        system_fault=create_on_a_killed_server,
    ),
    Row(
        operation="user_delete",
        success=deleted,
        user_fault=delete_of_one_who_is_not_there,
        system_fault=delete_with_the_guest_away,
    ),
    Row(
        operation="user_update_attributes",
        success=updated,
        user_fault=update_to_the_name_of_another,
        system_fault=update_with_the_guest_away,
    ),
    Row(
        operation="user_grant",
        success=granted,
        user_fault=grant_of_a_database_that_is_not_there,
        system_fault=grant_on_a_killed_server,
    ),
    Row(
        operation="user_revoke",
        success=revoked,
        user_fault=revoke_of_somebody_who_is_not_there,
        system_fault=revoke_with_the_guest_away,
    ),
    Row(
        operation="user_change_password",
        success=passwords_changed,
        user_fault=password_of_somebody_who_is_not_there,
        system_fault=password_changed_on_a_killed_server,
    ),
)
