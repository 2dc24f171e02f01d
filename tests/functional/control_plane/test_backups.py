"""Backups from the call to the object store and back into another instance; on real servers."""

import uuid

import pytest
from tests.functional.control_plane.backing_up import (
    announced,
    ask_for,
    begun,
    delete,
    ended,
    folder,
    held_up,
    made,
    remove_instance,
    restored,
    shown,
    usage,
    words,
    write,
)
from tests.support.control_plane import PROJECT, ControlPlane
from tests.support.waiting import wait_for

from coffer.catalogue.resources import Resource
from coffer.lifecycle.emitter import utcnow
from coffer.store import backups, quotas

pytestmark = pytest.mark.usefixtures("no_backups")


def test_a_backup_is_made_and_restored_into_another_instance(control: ControlPlane, instance_id: str) -> None:
    write(control, instance_id, "1-kept")
    with announced(control) as told:
        status, body = ask_for(control, instance_id, description="before the change")
        assert status == 202
        assert body["backup"]["status"] == "NEW"
        assert body["backup"]["datastore"].keys() == {"type", "version", "version_id"}
        backup_id = body["backup"]["id"]
        assert usage(control)[1] == 1
        ended(control, backup_id)
    expected = {
        "backup_id": backup_id,
        "instance_id": instance_id,
        "name": "nightly",
        "description": "before the change",
        "server_type": "api",
    }
    assert expected.items() <= told[0].start.payload.items()
    assert "parent_id" not in told[0].start.payload
    assert {"backup_id": backup_id, "server_type": "conductor"}.items() <= told[0].end.items()
    backup = shown(control, backup_id)
    assert backup["status"] == "COMPLETED"
    assert backup["size"] > 0
    assert control.show(instance_id)["status"] == "ACTIVE"
    write(control, instance_id, "2-later")
    status, body = restored(control, backup_id)
    assert status == 200, body
    copy_id = body["instance"]["id"]
    status, refusal = control.call("DELETE", f"/backups/{backup_id}")
    assert status == 422
    assert "being restored" in refusal["unprocessableEntity"]["message"]
    control.wait_for(copy_id, "ACTIVE")
    created = control.events("instance_create.start")[-1].payload
    assert {"instance_id": copy_id, "restore_point": backup_id}.items() <= created.items()
    # The tenant's user has the password that he had, the data is that of the backup.
    assert words(control, copy_id) == "1-kept"
    assert words(control, instance_id) == "1-kept 2-later"
    remove_instance(control, copy_id)
    delete(control, backup_id)


def test_incremental_backups_build_on_each_other_and_go_with_the_first(
    control: ControlPlane, instance_id: str
) -> None:
    write(control, instance_id, "3-full")
    full = made(control, instance_id)
    write(control, instance_id, "4-named")
    with announced(control) as told:
        first = made(control, instance_id, parent_id=full)
    assert told[0].start.payload["parent_id"] == full
    write(control, instance_id, "5-newest")
    second = made(control, instance_id, incremental=1)
    assert shown(control, second)["parent_id"] == first
    sizes = [(folder(control, each) / "archive").stat().st_size for each in (second, full)]
    assert sizes[0] < sizes[1] / 3
    status, body = restored(control, second)
    assert status == 200, body
    copy_id = body["instance"]["id"]
    control.wait_for(copy_id, "ACTIVE")
    assert words(control, copy_id) == words(control, instance_id)
    assert words(control, copy_id).endswith("3-full 4-named 5-newest")
    remove_instance(control, copy_id)
    with announced(control) as told:
        delete(control, full)
    assert {"backup_id": full, "server_type": "task"}.items() <= told[0].end.items()
    for backup_id in (full, first, second):
        assert control.call("GET", f"/backups/{backup_id}")[0] == 404
        assert not folder(control, backup_id).exists()


def test_an_incremental_backup_with_nothing_to_build_on_is_a_full_one(
    control: ControlPlane, instance_id: str
) -> None:
    assert shown(control, made(control, instance_id, incremental=1))["parent_id"] is None


def test_while_a_backup_is_made_the_instance_serves_and_refuses_other_operations(
    control: ControlPlane, instance_id: str
) -> None:
    databases = f"/instances/{instance_id}/databases"

    def names() -> list[str]:
        return [each["name"] for each in control.call("GET", databases)[1]["databases"]]

    with held_up(control, instance_id):
        backup_id = begun(control, instance_id)
        write(control, instance_id, "6-meanwhile")
        assert control.call("POST", databases, {"databases": [{"name": "meanwhile"}]})[0] == 202
        wait_for(lambda: "meanwhile" in names(), 30, "the database")
        actions: list[dict[str, object]] = [{"restart": {}}, {"resize": {"flavorRef": "2"}}]
        assert [control.action(instance_id, action) for action in actions] == [422, 422]
        assert control.call("DELETE", f"/instances/{instance_id}")[0] == 422
        assert ask_for(control, instance_id)[0] == 422
        status, refusal = control.call("DELETE", f"/backups/{backup_id}")
        assert status == 422
        assert "BUILDING" in refusal["unprocessableEntity"]["message"]
        assert restored(control, backup_id)[0] == 409
    ended(control, backup_id)
    assert shown(control, backup_id)["status"] == "COMPLETED"
    assert control.show(instance_id)["status"] == "ACTIVE"
    assert control.call("DELETE", f"{databases}/meanwhile")[0] == 202


def test_what_a_backup_cannot_build_on_is_refused_and_announced(
    control: ControlPlane, instance_id: str
) -> None:
    other_id = control.create_active()
    of_other = made(control, other_id)
    remove_instance(control, other_id)
    full = made(control, instance_id)
    missing = str(uuid.uuid4())
    cases = {
        missing: (404, "not_found"),
        of_other: (400, "bad_request"),
        full: (409, "backup_not_completed"),
    }
    with control.database.writing() as tx:
        backups.move(tx, full, {"COMPLETED"}, "FAILED", utcnow())
    for parent_id, (expected, code) in cases.items():
        with announced(control) as told:
            assert ask_for(control, instance_id, parent_id=parent_id)[0] == expected
        assert (told[0].error["error_code"], told[0].error["fault"]) == (code, "user")
        assert told[0].error["server_type"] == "api"
        assert control.show(instance_id)["status"] == "ACTIVE"
    assert usage(control) == (2, 0)


def test_more_backups_than_the_quota_allows_are_refused(control: ControlPlane, instance_id: str) -> None:
    made(control, instance_id)
    try:
        with control.database.writing() as tx:
            quotas.set_limits(tx, PROJECT, {Resource.BACKUPS: 1}, utcnow())
        with announced(control) as told:
            assert ask_for(control, instance_id)[0] == 413
        assert (told[0].error["error_code"], told[0].error["fault"]) == ("quota_exceeded", "user")
        assert usage(control) == (1, 0)
    finally:
        with control.database.writing() as tx:
            quotas.set_limits(tx, PROJECT, {Resource.BACKUPS: 50}, utcnow())
