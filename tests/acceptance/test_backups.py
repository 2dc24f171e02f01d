"""Backups through the field's own client, and control planes that die or leave in the middle of them."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.announcements import settled
from tests.support.held import backups_held_up
from tests.support.processes import about
from tests.support.standalone import Standalone, standalone
from tests.support.trove import Refused, Tenant
from tests.support.waiting import wait_for

PHASE_S = 60.0
BACKUP_S = 120.0


class Books:
    """An instance with a table of words, and the client that works with it."""

    def __init__(self, coffer: Standalone) -> None:
        self._coffer = coffer
        self.password = secrets.token_urlsafe(12)
        self.id = self.tenant.create_active(users={"alice": self.password})

    @property
    def tenant(self) -> Tenant:
        """A client of the control plane that runs now."""
        return Tenant(self._coffer.url)

    @property
    def api(self) -> Any:
        return self.tenant.api

    def write(self, word: str) -> None:
        with self.log_in(self.id) as session:
            session.execute("create table if not exists words (word text)")
            session.execute("insert into words values (%s)", (word,))

    def words(self, instance_id: str) -> list[str]:
        with self.log_in(instance_id) as session:
            return [word for (word,) in session.execute("select word from words order by word")]

    def log_in(self, instance_id: str) -> Any:
        return self.tenant.log_in(instance_id, database="shop", user="alice", password=self.password)

    def begin(self) -> str:
        return str(self.api.backups.create("nightly", self.id).id)

    def finished(self, backup_id: str) -> Any:
        """Wait until a backup is over, and return it."""

        def over() -> Any:
            backup = self.api.backups.get(backup_id)
            return backup if backup.status not in {"NEW", "BUILDING", "DELETING"} else None

        return wait_for(over, BACKUP_S, "the backup to be over")

    def back_up(self, **more: object) -> str:
        made = self.finished(self.api.backups.create("nightly", self.id, **more).id)
        assert made.status == "COMPLETED"
        return str(made.id)

    def delete(self, *backup_ids: str) -> None:
        """Delete backups, and wait until they are gone."""
        for backup_id in backup_ids:
            self.api.backups.delete(backup_id)
        gone = set(backup_ids)
        wait_for(lambda: not gone & {each.id for each in self.api.backups.list()}, BACKUP_S, "the deletion")

    def restore(self, backup_id: str) -> str:
        point = {"backupRef": backup_id}
        volume = {"size": 1}
        return str(self.api.instances.create("copy", "1", volume=volume, restorePoint=point).id)


@pytest.fixture(scope="module")
def coffer() -> Iterator[Standalone]:
    """One control plane for all: each test leaves it running and without a backup."""
    with standalone() as running:
        yield running


@pytest.fixture(scope="module")
def books(coffer: Standalone) -> Books:
    """An instance that serves."""
    return Books(coffer)


def folder(coffer: Standalone, backup_id: str) -> Path:
    return coffer.state_dir / "backups" / backup_id


def is_under_way(coffer: Standalone, backup_id: str) -> None:
    wait_for(lambda: any(folder(coffer, backup_id).glob(".*")), PHASE_S, "the archive to be begun")


def delete_without_a_trace(coffer: Standalone, books: Books, instance_id: str) -> None:
    books.api.instances.delete(instance_id)
    books.tenant.wait_until_gone(instance_id)
    place = coffer.guest_dir(instance_id)
    assert not place.exists()
    assert about(place) == []


def test_the_client_backs_up_looks_restores_and_deletes(coffer: Standalone) -> None:
    books = Books(coffer)
    books.write("1-full")
    full = books.back_up(description="all of it")
    books.write("2-more")
    hourly = books.back_up(incremental=1)
    books.write("3-after")
    assert books.api.backups.get(hourly).parent_id == full
    assert {each.id for each in books.api.backups.list()} == {full, hourly}
    assert {each.id for each in books.api.instances.backups(books.id)} == {full, hourly}
    first = books.api.backups.list(limit=1)
    assert [each.id for each in books.api.backups.list(limit=1, marker=first.next)] != [first[0].id]
    copy = books.restore(hourly)
    books.tenant.wait_for(copy, "ACTIVE")
    assert books.words(copy) == ["1-full", "2-more"]
    books.api.instances.delete(books.id)
    books.tenant.wait_until_gone(books.id)
    again = books.restore(full)
    books.tenant.wait_for(again, "ACTIVE")
    assert books.words(again) == ["1-full"]
    with pytest.raises(Refused) as refusal:
        books.restore("no such thing")
    assert refusal.value.http_status == 404
    books.api.backups.delete(full)
    wait_for(lambda: list(books.api.backups.list()) == [], BACKUP_S, "both backups to be gone")
    announced = settled(coffer)
    assert [run.succeeded for run in announced.of("backup_create")] == [True, True]
    assert announced.only("backup_delete").succeeded
    assert not list((coffer.state_dir / "backups").iterdir())
    delete_without_a_trace(coffer, books, again)


def test_a_control_plane_killed_in_a_backup_leaves_a_failed_backup_and_a_working_instance(
    coffer: Standalone, books: Books
) -> None:
    books.write("kept")
    with backups_held_up(coffer.guest_dir(books.id)):
        backup_id = books.begin()
        is_under_way(coffer, backup_id)
        coffer.kill_and_start()
    run = settled(coffer).of("backup_create")[-1]
    assert (run.error["error_code"], run.error["fault"]) == ("owner_died", "system")
    failed = books.api.backups.get(backup_id)
    assert (failed.status, failed.fault["message"]) == ("FAILED", run.error["message"])
    wait_for(lambda: not folder(coffer, backup_id).exists(), BACKUP_S, "what was begun to be removed")
    shown = books.tenant.show(books.id)
    assert (shown["status"], shown.get("fault")) == ("ACTIVE", None)
    books.tenant.wait_for_server(books.id, "HEALTHY")
    made = books.back_up(incremental=1)
    copy = books.restore(made)
    books.tenant.wait_for(copy, "ACTIVE")
    assert books.words(copy) == books.words(books.id)
    books.delete(backup_id, made)
    delete_without_a_trace(coffer, books, copy)


def test_a_control_plane_that_is_stopped_does_not_wait_for_a_backup(coffer: Standalone, books: Books) -> None:
    with backups_held_up(coffer.guest_dir(books.id)):
        backup_id = books.begin()
        is_under_way(coffer, backup_id)
        assert coffer.stop() == 0
    coffer.start()
    assert settled(coffer).of("backup_create")[-1].error["fault"] == "system"
    assert books.api.backups.get(backup_id).status == "FAILED"
    assert books.tenant.show(books.id)["status"] == "ACTIVE"
    books.tenant.wait_for_server(books.id, "HEALTHY")
    books.delete(backup_id)


RESTORATION: dict[str, Callable[[Path], bool]] = {
    "directory": lambda place: place.exists(),
    "unpacking": lambda place: (place / "restore").exists(),
    "taking over": lambda place: (place / "restore.hba").exists(),
    "data complete": lambda place: (place / "data" / "PG_VERSION").exists(),
}


@pytest.mark.parametrize("phase", RESTORATION)
def test_a_restoration_cut_short_ends_once_and_leaves_nothing_behind(
    coffer: Standalone, books: Books, phase: str
) -> None:
    books.write("kept")
    backup_id = books.back_up()
    copy = books.restore(backup_id)
    place = coffer.guest_dir(copy)
    wait_for(lambda: RESTORATION[phase](place), PHASE_S, f"the phase: {phase}")

    coffer.kill_and_start()

    run = settled(coffer).of("instance_create")[-1]
    if run.succeeded:
        assert books.words(copy) == books.words(books.id)
    else:
        assert run.error["error_code"] == "owner_died"
        assert books.tenant.show(copy)["status"] == "ERROR"
    delete_without_a_trace(coffer, books, copy)
    books.delete(backup_id)
    assert not folder(coffer, backup_id).exists()


def test_a_deletion_of_a_backup_cut_short_is_completed(coffer: Standalone, books: Books) -> None:
    backup_id = books.back_up()
    books.api.backups.delete(backup_id)
    coffer.kill_and_start()
    assert settled(coffer).of("backup_delete")[-1].succeeded
    assert not folder(coffer, backup_id).exists()
    assert list(books.api.backups.list()) == []
