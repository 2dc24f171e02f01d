"""Backups of an instance."""

from collections.abc import Generator
from uuid import uuid4

from tests.functional.operations.case import ANYTHING, Call, Row, Told
from tests.functional.operations.stage import Stage

Case = Generator[Call, Told, None]


def _create(stage: Stage, *, answers: int = 202, error: str | None = None, **more: str) -> Call:
    name = stage.name("backup")
    return Call(
        method="POST",
        path="/backups",
        body={"backup": {"name": name, "instance": stage.instance_id, "incremental": 0, **more}},
        answers=answers,
        starts=[{"name": name, "instance_id": stage.instance_id, "backup_id": ANYTHING, **more}],
        error=error,
    )


def created(stage: Stage) -> Case:
    full = stage.backup()
    told = yield _create(stage, parent_id=full, description="before the change")
    backup_id = told.start["backup_id"]
    backup = stage.call("GET", f"/backups/{backup_id}", answers=200)["backup"]
    assert (backup["status"], backup["parent_id"]) == ("COMPLETED", full)
    assert backup["size"] > 0
    place = stage.control.root / "backups"
    assert (place / backup_id / "archive").stat().st_size > 0
    stage.delete_backup(full)  # with the one that builds on it
    assert not list(place.iterdir())


def create_upon_one_that_is_not_there(stage: Stage) -> Case:
    yield _create(stage, answers=404, error="not_found", parent_id=str(uuid4()))
    assert stage.state() == "ACTIVE"


def create_where_the_storage_is_broken(stage: Stage) -> Case:
    with stage.storage_broken():
        told = yield _create(stage, error="storage_failed")
        backup_id = told.start["backup_id"]
        backup = stage.call("GET", f"/backups/{backup_id}", answers=200)["backup"]
        assert (backup["status"], backup["fault"]["message"]) == ("FAILED", told.error)
        assert stage.state() == "ACTIVE"
        assert "fault" not in stage.control.show(stage.instance_id)
    stage.delete_backup(backup_id)
    stage.delete_backup(stage.backup())


def _delete(backup_id: str, *, answers: int = 202, error: str | None = None) -> Call:
    return Call(
        method="DELETE",
        path=f"/backups/{backup_id}",
        answers=answers,
        starts=[{"backup_id": backup_id}],
        error=error,
    )


def deleted(stage: Stage) -> Case:
    backup_id = stage.backup()
    yield _delete(backup_id)
    stage.wait_until_gone(f"/backups/{backup_id}")
    assert not (stage.control.root / "backups" / backup_id).exists()


def delete_of_one_that_is_being_made(stage: Stage) -> Case:
    with stage.backup_under_way() as backup_id:
        yield _delete(backup_id, answers=422, error="backup_busy")
        assert stage.backup_state(backup_id) == "BUILDING"
    assert stage.backup_state(backup_id) == "COMPLETED"
    stage.delete_backup(backup_id)


def delete_of_one_that_cannot_be_removed(stage: Stage) -> Case:
    backup_id = stage.backup()
    with stage.archive_unremovable(backup_id):
        yield _delete(backup_id, error="storage_failed")
        assert stage.backup_state(backup_id) == "DELETE_FAILED"
    stage.delete_backup(backup_id)
    assert not (stage.control.root / "backups" / backup_id).exists()


ROWS = (
    Row(
        operation="backup_create",
        success=created,
        user_fault=create_upon_one_that_is_not_there,
        system_fault=create_where_the_storage_is_broken,
    ),
    Row(
        operation="backup_delete",
        success=deleted,
        user_fault=delete_of_one_that_is_being_made,
        system_fault=delete_of_one_that_cannot_be_removed,
    ),
)
