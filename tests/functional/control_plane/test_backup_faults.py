"""Backups that fail, are given up, or cannot be restored; on real servers."""

import os
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
    is_failed,
    made,
    remove_instance,
    restored,
    shown,
    write,
)
from tests.support import mounts
from tests.support.control_plane import PROJECT, ControlPlane
from tests.support.waiting import wait_for

from coffer.catalogue.states import ServiceStatus
from coffer.lifecycle.emitter import utcnow
from coffer.store import backups, instances
from coffer.store.tables import RUNS
from coffer.taskmanager.reconcile import reconcile_backups
from coffer.wire.context import TroveContext

pytestmark = pytest.mark.usefixtures("no_backups")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


def test_a_server_that_is_down_is_not_backed_up(control: ControlPlane, instance_id: str) -> None:
    control.site.guest(instance_id).stop(TroveContext(project_id=PROJECT, overwrite=False))
    try:
        wait_for(lambda: control.row(instance_id).service_status == "SHUTDOWN", 30, "the guest's word")
        with announced(control) as told:
            assert ask_for(control, instance_id)[0] == 422
        assert (told[0].error["error_code"], told[0].error["fault"]) == ("server_not_running", "user")
        # What the control plane has not heard yet, the guest says.
        with control.database.writing() as tx:
            instances.update(tx, instance_id, utcnow(), service_status=ServiceStatus.HEALTHY)
        with announced(control) as told:
            status, body = ask_for(control, instance_id)
            assert status in {202, 422}
        if status == 202:
            assert told[0].error["fault"] == "system"
            is_failed(control, body["backup"]["id"], instance_id, "does not run")
    finally:
        assert control.action(instance_id, {"restart": {}}) == 202
        control.wait_for(instance_id, "ACTIVE")
        control.wait_until_healthy(instance_id)


def test_a_guest_that_is_away_cannot_be_asked(control: ControlPlane, instance_id: str) -> None:
    control.launcher.stop(instance_id)
    control.site.guest_timeouts_s = {"timeout_s": 0.5}
    try:
        with announced(control) as told:
            status, body = ask_for(control, instance_id)
            assert status == 202
        assert (told[0].error["error_code"], told[0].error["fault"]) == ("guest_unreachable", "system")
        assert told[0].error["server_type"] == "task"
        is_failed(control, body["backup"]["id"], instance_id, "did not answer")
    finally:
        control.site.guest_timeouts_s = {}
        control.launcher.launch(control.guest_dir(instance_id))
        control.wait_until_healthy(instance_id)


def test_an_agent_that_has_to_go_gives_the_backup_up(control: ControlPlane, instance_id: str) -> None:
    with announced(control) as told, held_up(control, instance_id):
        backup_id = begun(control, instance_id)
        control.launcher.stop(instance_id)
        ended(control, backup_id)
    control.launcher.launch(control.guest_dir(instance_id))
    control.wait_until_healthy(instance_id)
    assert told[0].error["fault"] == "system"
    is_failed(control, backup_id, instance_id, "stopped in the middle")
    assert not folder(control, backup_id).exists()
    made(control, instance_id)


def test_a_backup_past_its_deadline_fails_and_the_late_report_changes_nothing(
    control: ControlPlane, instance_id: str
) -> None:
    with announced(control) as told, held_up(control, instance_id):
        backup_id = begun(control, instance_id)
        with control.database.writing() as tx:
            tx.execute(RUNS.update().where(RUNS.c.ended_at.is_(None)).values(deadline_at=utcnow()))
        assert control.watchdog().sweep() == 1
    assert told[0].error["error_code"] == "deadline_exceeded"
    wait_for((folder(control, backup_id) / "manifest").exists, 60, "the guest to be done")
    is_failed(control, backup_id, instance_id, "did not finish")


def test_a_reset_gives_the_backup_up(control: ControlPlane, instance_id: str) -> None:
    with announced(control) as told, held_up(control, instance_id):
        backup_id = begun(control, instance_id)
        assert control.action(instance_id, {"reset_status": {}}) == 202
    assert (told[0].error["error_code"], told[0].error["fault"]) == ("reset", "user")
    is_failed(control, backup_id, instance_id, "was reset")
    wait_for((folder(control, backup_id) / "manifest").exists, 60, "the guest to be done")


@as_root
def test_a_storage_without_space_fails_the_backup_and_not_the_instance(
    control: ControlPlane, instance_id: str
) -> None:
    storage = control.root / "backups"
    storage.mkdir(mode=0o700, exist_ok=True)
    mounts.mount_tmpfs(storage, "size=1m,mode=0700")
    try:
        with announced(control) as told:
            status, body = ask_for(control, instance_id)
            assert status == 202
        assert (told[0].error["error_code"], told[0].error["fault"]) == ("storage_failed", "system")
        assert str(control.root) not in str(told[0].error)
        is_failed(control, body["backup"]["id"], instance_id, "no space is left")
        assert not list(storage.iterdir())
    finally:
        mounts.unmount(storage)
    write(control, instance_id, "7-after")
    made(control, instance_id)


def test_a_damaged_archive_is_not_restored(control: ControlPlane, instance_id: str) -> None:
    backup_id = made(control, instance_id)
    archive = folder(control, backup_id) / "archive"
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    with announced(control) as told:
        status, body = restored(control, backup_id)
        assert status == 200
        copy_id = body["instance"]["id"]
        control.wait_for(copy_id, "ERROR")
    assert (told[0].error["error_code"], told[0].error["fault"]) == ("backup_damaged", "system")
    assert told[0].start.payload["restore_point"] == backup_id
    assert "checksum" in control.show(copy_id)["fault"]["message"]
    assert control.events("trove.instance.create")[-1].payload["instance_id"] != copy_id
    remove_instance(control, copy_id)


def test_an_archive_that_is_gone_is_not_restored(control: ControlPlane, instance_id: str) -> None:
    backup_id = made(control, instance_id)
    (folder(control, backup_id) / "archive").unlink()
    with announced(control) as told:
        copy_id = restored(control, backup_id)[1]["instance"]["id"]
        control.wait_for(copy_id, "ERROR")
    assert told[0].error["error_code"] == "storage_failed"
    remove_instance(control, copy_id)


def test_an_instance_that_does_not_fit_the_backup_is_refused(control: ControlPlane, instance_id: str) -> None:
    backup_id = made(control, instance_id)
    with control.database.writing() as tx:
        backups.move(tx, backup_id, {"COMPLETED"}, "COMPLETED", utcnow(), volume_gib=2)
    with announced(control) as told:
        assert restored(control, backup_id)[0] == 403
    assert (told[0].error["error_code"], told[0].error["fault"]) == ("backup_too_large", "user")
    with control.database.writing() as tx:
        backups.move(
            tx, backup_id, {"COMPLETED"}, "COMPLETED", utcnow(), datastore_version="18", volume_gib=1
        )
    with announced(control) as told:
        asked = {"datastore": {"type": "postgresql", "version": "17"}}
        status, body = restored(control, backup_id, **asked)
        assert status == 400, body
    assert (told[0].error["error_code"], told[0].error["fault"]) == ("bad_request", "user")
    before = len(control.events())
    assert restored(control, str(uuid.uuid4()))[0] == 404
    assert len(control.events()) == before


def test_a_deletion_that_fails_can_be_asked_for_again(control: ControlPlane, instance_id: str) -> None:
    backup_id = made(control, instance_id)
    place = folder(control, backup_id)
    aside = place.with_name(".aside")
    place.rename(aside)
    place.touch()  # what is no directory cannot be removed as one
    with announced(control) as told:
        assert control.call("DELETE", f"/backups/{backup_id}")[0] == 202
        ended(control, backup_id)
    assert (told[0].error["error_code"], told[0].error["fault"]) == ("storage_failed", "system")
    assert shown(control, backup_id)["status"] == "DELETE_FAILED"
    assert restored(control, backup_id)[0] == 409
    place.unlink()
    aside.rename(place)
    delete(control, backup_id)
    assert not place.exists()


def test_what_a_late_guest_left_of_a_backup_that_is_none_is_removed(
    control: ControlPlane, instance_id: str
) -> None:
    backup_id, failed, kept = (made(control, instance_id) for _ in range(3))
    delete(control, backup_id)
    with control.database.writing() as tx:
        backups.move(tx, failed, {"COMPLETED"}, "FAILED", utcnow())
    place = folder(control, backup_id)
    place.mkdir()
    (place / "archive").write_bytes(b"late")
    stranger = folder(control, str(uuid.uuid4()))
    stranger.mkdir()
    reconcile_backups(control.database, control.site.objects())
    assert not place.exists()
    assert not folder(control, failed).exists()
    assert stranger.exists()
    assert (folder(control, kept) / "archive").exists()
    stranger.rmdir()
