"""Backups as the field's client sees them: lists, pages, filters, refusals; nobody makes one here."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from tests.functional.api.world import PROJECT, World
from tests.support.rows import NOON, new_backup

from coffer.catalogue.states import BackupState, InstanceState
from coffer.store import backups
from coffer.store.backups import Backup


def keep(world: World, **fields: Any) -> Backup:
    backup = new_backup(**fields)
    with world.database.writing() as tx:
        backups.insert(tx, backup)
    return backup


def names(world: World, query: str = "", path: str = "/backups") -> list[str]:
    reply = world.call("GET", f"{path}?{query}")
    assert reply.status == 200, reply.body
    return [each["name"] for each in reply.body["backups"]]


def test_the_list_has_pages_by_offset_the_last_changed_first(world: World) -> None:
    for number in range(5):
        keep(world, name=str(number), updated_at=NOON + timedelta(minutes=number))
    seen, query = [], "limit=2"
    while True:
        reply = world.call("GET", f"/backups?{query}")
        seen.append([each["name"] for each in reply.body["backups"]])
        if "links" not in reply.body:
            break
        (link,) = reply.body["links"]
        query = link["href"].partition("?")[2]
    assert seen == [["4", "3"], ["2", "1"], ["0"]]


def test_without_a_limit_a_page_has_twenty_and_a_large_limit_is_kept(world: World) -> None:
    for number in range(30):
        keep(world, name=str(number))
    assert len(names(world)) == 20
    assert len(names(world, "limit=100")) == 30


@pytest.mark.parametrize("query", ["marker=x", "marker=-1", "limit=0", "limit=x", "marker=1234567890"])
def test_what_is_no_page_is_refused(world: World, query: str) -> None:
    assert world.call("GET", f"/backups?{query}").status == 400


def test_filters_choose_and_others_see_nothing(world: World) -> None:
    instance = world.has()
    keep(world, name="its", instance_id=instance.id)
    keep(world, name="other")
    keep(world, name="theirs", project_id="project-2")
    gone = keep(world, name="gone")
    with world.database.writing() as tx:
        backups.delete(tx, gone.id, NOON)
    assert sorted(names(world)) == ["its", "other"]
    assert names(world, f"instance_id={instance.id}") == ["its"]
    assert names(world, path=f"/instances/{instance.id}/backups") == ["its"]
    assert sorted(names(world, "datastore=postgresql")) == ["its", "other"]
    assert world.call("GET", "/backups?datastore=oracle").status == 404
    for query in ("all_projects=True", "project_id=project-2"):
        assert world.call("GET", f"/backups?{query}").status == 403
    assert world.call("GET", f"/backups/{gone.id}").status == 404


def test_an_administrator_sees_those_of_everybody(sqlite_url: str) -> None:
    with World(sqlite_url, roles=("admin",)) as world:
        keep(world, name="ours")
        keep(world, name="theirs", project_id="project-2")
        assert sorted(names(world, "all_projects=True")) == ["ours", "theirs"]
        assert names(world, "project_id=project-2") == ["theirs"]
        assert names(world) == ["ours"]


def test_a_backup_is_shown_with_all_that_clients_read(world: World) -> None:
    backup = keep(world, description="why", parent_id=str(uuid.uuid4()), size_bytes=3 * 2**30)
    body = world.call("GET", f"/backups/{backup.id}").body["backup"]
    assert body.pop("datastore")["version_id"]
    assert body == {
        "id": backup.id,
        "name": "nightly",
        "description": "why",
        "locationRef": "somewhere/archive",
        "instance_id": backup.instance_id,
        "parent_id": backup.parent_id,
        "project_id": PROJECT,
        "created": "2026-03-29T12:00:00",
        "updated": "2026-03-29T12:00:00",
        "size": 3.0,
        "status": "COMPLETED",
    }


def test_a_backup_begins_with_its_row_its_run_and_its_task(world: World) -> None:
    taskmanager = world.start_taskmanager()
    instance = world.has(volume_gib=7)
    asked = {"name": "nightly", "instance": instance.id, "incremental": 0}
    reply = world.call("POST", "/backups", {"backup": asked})
    assert reply.status == 202
    backup_id = reply.body["backup"]["id"]
    (cast,) = taskmanager.notes.casts(1)
    assert (cast.method, cast.args) == ("create_backup", {"backup_id": backup_id})
    assert world.row(instance.id).state is InstanceState.BACKUP
    with world.database.reading() as tx:
        row = backups.get(tx, backup_id)
    assert row is not None
    assert (row.state, row.volume_gib, row.parent_id) == (BackupState.NEW, 7, None)
    (start,) = world.events()
    assert start.event_type == "dbaas.backup_create.start"
    assert start.payload["backup_id"] == backup_id


def test_a_backup_that_nobody_takes_on_has_failed(world: World) -> None:
    instance = world.has()
    reply = world.call("POST", "/backups", {"backup": {"name": "nightly", "instance": instance.id}})
    assert reply.status == 503
    assert [event.event_type for event in world.events()] == [
        "dbaas.backup_create.start",
        "dbaas.backup_create.error",
    ]
    assert world.row(instance.id).state is InstanceState.ACTIVE
    (backup,) = world.call("GET", "/backups").body["backups"]
    assert backup["status"] == "FAILED"
    assert backup["fault"]["message"]


@pytest.mark.parametrize(
    ("more", "status", "word"),
    [
        ({"name": ""}, 400, "backup.name"),
        ({"instance": None}, 400, "backup.instance"),
        ({"instance": "x"}, 404, "Instance"),
        ({"instance": str(uuid.uuid4())}, 404, "Instance"),
        ({"parent_id": "x"}, 404, "Backup"),
        ({"description": "x" * 2000}, 400, "backup.description"),
        ({"swift_container": "mine"}, 501, "where"),
        ({"restore_from": {"remote_location": "x"}}, 501, "elsewhere"),
        ({"color": "red"}, 400, "color"),
    ],
)
def test_what_cannot_be_asked_for_begins_nothing(
    world: World, more: dict[str, object], status: int, word: str
) -> None:
    asked = {"name": "nightly", "instance": world.has().id, "incremental": 0, **more}
    reply = world.call("POST", "/backups", {"backup": asked})
    assert reply.status == status
    assert word in reply.message
    assert world.events() == []


def test_an_engine_without_incremental_backups_says_so(world: World) -> None:
    instance = world.has(datastore_version="15")
    for more in ({"incremental": 1}, {"parent_id": keep(world, instance_id=instance.id).id}):
        reply = world.call("POST", "/backups", {"backup": {"name": "n", "instance": instance.id, **more}})
        assert reply.status == 400
        assert "need PostgreSQL 17" in reply.message


def test_a_deletion_takes_the_children_along_and_is_refused_while_one_is_busy(world: World) -> None:
    taskmanager = world.start_taskmanager()
    full = keep(world)
    child = keep(world, parent_id=full.id)
    grandchild = keep(world, parent_id=child.id, state=BackupState.BUILDING)
    reply = world.call("DELETE", f"/backups/{full.id}")
    assert (reply.status, reply.title) == (422, "unprocessableEntity")
    assert grandchild.id in reply.message
    assert [event.event_type for event in world.events()] == [
        "dbaas.backup_delete.start",
        "dbaas.backup_delete.error",
    ]
    with world.database.writing() as tx:
        backups.move(tx, grandchild.id, {"BUILDING"}, "FAILED", NOON)
    assert world.call("DELETE", f"/backups/{full.id}").status == 202
    taskmanager.notes.casts(1)
    shown = world.call("GET", "/backups").body["backups"]
    assert {each["status"] for each in shown} == {"DELETING"}
    assert world.call("DELETE", f"/backups/{child.id}").status == 422
    assert world.call("DELETE", f"/backups/{uuid.uuid4()}").status == 404
    assert len(world.open_runs()) == 1
