"""The databases of an instance."""

from collections.abc import Generator

from tests.functional.operations.case import Call, Row, Told
from tests.functional.operations.stage import Stage
from tests.support.control_plane import DATABASE

Case = Generator[Call, Told, None]


def _create(stage: Stage, *names: str, answers: int = 202, error: str | None = None) -> Call:
    return Call(
        method="POST",
        path=f"{stage.path}/databases",
        body={"databases": [{"name": name} for name in names]},
        answers=answers,
        starts=[{"instance_id": stage.instance_id, "dbname": name} for name in names],
        error=error,
    )


def _delete(stage: Stage, name: str, *, answers: int = 202, error: str | None = None) -> Call:
    return Call(
        method="DELETE",
        path=f"{stage.path}/databases/{name}",
        answers=answers,
        starts=[{"instance_id": stage.instance_id, "dbname": name}],
        error=error,
    )


def created(stage: Stage) -> Case:
    names = [stage.name("db") for _ in range(3)]
    yield _create(stage, *names)
    assert set(names) <= stage.databases()
    for name in names:
        stage.done("DELETE", f"{stage.path}/databases/{name}")


def create_of_one_that_is_there(stage: Stage) -> Case:
    before = stage.databases()
    yield _create(stage, DATABASE, answers=400, error="database_exists")
    assert stage.databases() == before


def create_on_a_killed_server(stage: Stage) -> Case:
    name = stage.name("db")
    stage.kill_server()
    told = yield _create(stage, name, answers=500, error="guest_failed")
    assert "restart the instance" in told.error
    assert stage.state() == "ACTIVE"
    stage.restart()
    assert name not in stage.databases()
    stage.done("POST", f"{stage.path}/databases", {"databases": [{"name": name}]})
    assert name in stage.databases()
    stage.done("DELETE", f"{stage.path}/databases/{name}")


def deleted(stage: Stage) -> Case:
    name = stage.database()
    yield _delete(stage, name)
    assert name not in stage.databases()


def delete_of_one_that_is_not_there(stage: Stage) -> Case:
    before = stage.databases()
    yield _delete(stage, "nothing", answers=404, error="not_found")
    assert stage.databases() == before


def delete_with_the_guest_away(stage: Stage) -> Case:
    name = stage.database()
    with stage.guest_away():
        yield _delete(stage, name, answers=503, error="guest_unreachable")
        assert name in stage.databases()
    stage.done("DELETE", f"{stage.path}/databases/{name}")
    assert name not in stage.databases()


ROWS = (
    Row(
        operation="database_create",
        success=created,
        user_fault=create_of_one_that_is_there,
        system_fault=create_on_a_killed_server,
    ),
    Row(
        operation="database_delete",
        success=deleted,
        user_fault=delete_of_one_that_is_not_there,
        system_fault=delete_with_the_guest_away,
    ),
)
