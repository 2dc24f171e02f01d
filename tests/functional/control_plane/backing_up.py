"""Backups as tests of a whole control plane make, hold up and restore them."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from tests.support.control_plane import PROJECT, ControlPlane
from tests.support.waiting import wait_for

from coffer.catalogue.events import EVENTS
from coffer.catalogue.resources import Resource
from coffer.store import quotas
from coffer.wire.envelope import Notification

DONE_S = 120.0


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
    instance = control.show(instance_id)
    assert (instance["status"], instance.get("fault")) == ("ACTIVE", None)
    assert restored(control, backup_id)[0] == 409
