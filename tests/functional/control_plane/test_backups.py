"""Backups from the call to the object store and back into another instance, and what fails; on real servers."""

import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support import mounts
from tests.support.control_plane import PROJECT, ControlPlane
from tests.support.waiting import wait_for

from coffer.catalogue.events import EVENTS
from coffer.catalogue.resources import Resource
from coffer.catalogue.states import ServiceStatus
from coffer.lifecycle.emitter import utcnow
from coffer.store import backups, instances, quotas
from coffer.store.tables import RUNS
from coffer.taskmanager.reconcile import reconcile_backups
from coffer.wire.context import TroveContext
from coffer.wire.envelope import Notification

DONE_S = 120.0
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


@dataclass(frozen=True)
class Told:
    """What was announced of one run."""

    start: Notification
    ending: Notification

    @property
    def error(self) -> dict[str, Any]:
        assert self.ending.event_type.endswith(".error")
        assert self.ending.severity == "error"
        return dict(self.ending.payload)

    @property
    def end(self) -> dict[str, Any]:
        assert self.ending.event_type.endswith(".end"), self.ending.payload
        assert self.ending.severity == "info"
        return dict(self.ending.payload)


@contextmanager
def announced(control: ControlPlane) -> Iterator[list[Told]]:
    """Collect the one run of a block; whoever made it waits for its end."""
    before = len(control.events())
    told: list[Told] = []
    yield told
    wait_for(lambda: control.open_runs() == [], DONE_S, "the run to end")
    found = [event for event in control.events()[before:] if event.event_type.startswith("dbaas.")]
    start, ending = found
    assert start.event_type.endswith(".start")
    assert start.payload["run_id"] == ending.payload["run_id"]
    for event in found:
        declared = EVENTS[event.event_type]
        required = {trait.field for trait in declared.traits if trait.required}
        assert required <= event.payload.keys()
    told.append(Told(start=start, ending=ending))


def ask_for(control: ControlPlane, instance_id: str, **more: object) -> tuple[int, Any]:
    """Ask for a backup as the client does."""
    asked = {"name": "nightly", "instance": instance_id, "incremental": 0, **more}
    return control.call("POST", "/backups", {"backup": asked})


def shown(control: ControlPlane, backup_id: str) -> dict[str, Any]:
    status, body = control.call("GET", f"/backups/{backup_id}")
    assert status == 200, body
    backup: dict[str, Any] = body["backup"]
    return backup


def made(control: ControlPlane, instance_id: str, **more: object) -> str:
    """Have a backup made and wait until it is complete."""
    status, body = ask_for(control, instance_id, **more)
    assert status == 202, body
    backup_id = str(body["backup"]["id"])
    ended(control, backup_id)
    assert shown(control, backup_id)["status"] == "COMPLETED", shown(control, backup_id)
    return backup_id


def ended(control: ControlPlane, backup_id: str) -> None:
    unfinished = {"NEW", "BUILDING", "DELETING"}
    wait_for(lambda: shown(control, backup_id)["status"] not in unfinished, DONE_S, "the backup to be over")


def restored(control: ControlPlane, backup_id: str, **more: object) -> tuple[int, Any]:
    asked = {
        "name": "copy",
        "flavorRef": "1",
        "volume": {"size": 1},
        "restorePoint": {"backupRef": backup_id},
        **more,
    }
    return control.call("POST", "/instances", {"instance": asked})


def write(control: ControlPlane, instance_id: str, word: str) -> None:
    with control.log_in(instance_id) as session:
        session.execute("create table if not exists words (word text)")
        session.execute("insert into words values (%s)", (word,))


def words(control: ControlPlane, instance_id: str) -> str:
    return control.ask(instance_id, "select string_agg(word, ' ' order by word) from words")


def folder(control: ControlPlane, backup_id: str) -> Path:
    return control.root / "backups" / backup_id


def remove_instance(control: ControlPlane, instance_id: str) -> None:
    assert control.call("DELETE", f"/instances/{instance_id}")[0] == 202
    gone = f"/instances/{instance_id}"
    wait_for(lambda: control.call("GET", gone)[0] == 404, DONE_S, "the instance to be deleted")


def delete(control: ControlPlane, backup_id: str) -> None:
    assert control.call("DELETE", f"/backups/{backup_id}")[0] == 202
    gone = f"/backups/{backup_id}"
    wait_for(lambda: control.call("GET", gone)[0] == 404, DONE_S, "the backup to be deleted")


def usage(control: ControlPlane) -> tuple[int, int]:
    with control.database.reading() as tx:
        used = quotas.usage(tx, PROJECT)[Resource.BACKUPS]
    return used.in_use, used.reserved


@pytest.fixture
def no_backups(control: ControlPlane) -> Iterator[None]:
    """Leave none behind, so that no test meets those of another."""
    yield
    wait_for(lambda: control.open_runs() == [], DONE_S, "the runs to end")
    while found := control.call("GET", "/backups")[1]["backups"]:
        delete(control, found[-1]["id"] if found[-1]["parent_id"] is None else found[0]["id"])
    assert usage(control) == (0, 0)
    assert not list((control.root / "backups").glob("*"))


pytestmark = pytest.mark.usefixtures("no_backups")


@contextmanager
def held_up(control: ControlPlane, instance_id: str) -> Iterator[None]:
    """Keep backups from coming to their end: the checkpoint with which each begins waits, the server serves."""
    row, guest = control.row(instance_id), control.guest_config(instance_id)
    with psycopg.connect(
        host=row.host,
        port=row.port,
        dbname="postgres",
        user="os_admin",
        password=(control.guest_dir(instance_id) / "admin.secret").read_text(),
    ) as session:
        found = session.execute("select pid from pg_stat_activity where backend_type = 'checkpointer'")
        (pid,) = found.fetchone() or (0,)
    assert Path(f"/proc/{pid}").stat().st_uid == (os.geteuid() if guest.uid is None else guest.uid)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def begun(control: ControlPlane, instance_id: str) -> str:
    """Ask for a backup of an instance that is held up, and wait until its guest works on it."""
    status, body = ask_for(control, instance_id)
    assert status == 202, body
    backup_id = str(body["backup"]["id"])
    wait_for(lambda: any(folder(control, backup_id).glob(".*")), 30, "the archive to be begun")
    assert shown(control, backup_id)["status"] == "BUILDING"
    assert control.show(instance_id)["status"] == "BACKUP"
    return backup_id


def is_failed(control: ControlPlane, backup_id: str, instance_id: str, said: str) -> None:
    """Hold what is left of a failed backup against what should be."""
    backup = shown(control, backup_id)
    assert backup["status"] == "FAILED"
    assert said in backup["fault"]["message"]
    assert control.show(instance_id)["status"] == "ACTIVE"
    assert restored(control, backup_id)[0] == 409


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


def test_what_a_late_guest_left_of_a_deleted_backup_is_removed(
    control: ControlPlane, instance_id: str
) -> None:
    backup_id = made(control, instance_id)
    kept = made(control, instance_id)
    delete(control, backup_id)
    place = folder(control, backup_id)
    place.mkdir()
    (place / "archive").write_bytes(b"late")
    stranger = folder(control, str(uuid.uuid4()))
    stranger.mkdir()
    reconcile_backups(control.database, control.site.objects())
    assert not place.exists()
    assert stranger.exists()
    assert (folder(control, kept) / "archive").exists()
    stranger.rmdir()
