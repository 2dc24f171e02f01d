"""What a guest says of a backup counts for its own run only, and only if it can be true."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.functional.api.world import World
from tests.support.databases import sqlite_template, sqlite_url
from tests.support.rows import new_backup

from coffer.catalogue.states import BackupState, InstanceState
from coffer.conductor.reports import Reports
from coffer.store import backups, runs
from coffer.store.backups import Backup
from coffer.wire.context import Ticket, TroveContext

__all__ = ["sqlite_template", "sqlite_url"]

CHECKSUM = "5" * 64


@pytest.fixture
def world(sqlite_url: str) -> Iterator[World]:
    with World(sqlite_url) as opened:
        opened.start_taskmanager()
        yield opened


class Building:
    """A backup whose guest is at work."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.instance = world.has()
        asked = {"name": "nightly", "instance": self.instance.id}
        reply = world.call("POST", "/backups", {"backup": asked})
        self.id = reply.body["backup"]["id"]
        (self.run,) = [run for run in world.open_runs() if run.instance_id == self.instance.id]
        with world.database.writing() as tx:
            backups.move(tx, self.id, {"NEW"}, "BUILDING", self.run.started_at, location="x/archive")
            runs.hand_over(tx, self.run.run_id, self.instance.id)
        self.context = TroveContext(
            notification=Ticket(run_id=self.run.run_id, operation="backup_create"), overwrite=False
        )

    @property
    def row(self) -> Backup:
        with self._world.database.reading() as tx:
            found = backups.get(tx, self.id)
        assert found is not None
        return found


def test_size_and_checksum_are_kept_with_the_ending(world: World) -> None:
    building = Building(world)
    said = {"size_bytes": 7, "checksum": CHECKSUM, "backup_id": "another", "tenant_id": "another"}
    Reports(world.lifecycle).notify_end(building.context, instance_id=building.instance.id, traits=said)
    row = building.row
    assert (row.state, row.size_bytes, row.checksum) == (BackupState.COMPLETED, 7, CHECKSUM)
    assert world.row(building.instance.id).state is InstanceState.ACTIVE
    end = world.events()[-1]
    assert end.event_type == "dbaas.backup_create.end"
    assert end.payload["backup_id"] == building.id
    assert end.payload["tenant_id"] == building.instance.project_id


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"size_bytes": 7},
        {"size_bytes": -1, "checksum": CHECKSUM},
        {"size_bytes": 2**63, "checksum": CHECKSUM},
        {"size_bytes": True, "checksum": CHECKSUM},
        {"size_bytes": 7, "checksum": CHECKSUM.upper() + "x"},
        {"size_bytes": 7, "checksum": ["5"]},
        "nonsense",
    ],
)
def test_a_backup_that_nobody_could_verify_has_failed(world: World, said: Any) -> None:
    building = Building(world)
    Reports(world.lifecycle).notify_end(building.context, instance_id=building.instance.id, traits=said)
    assert building.row.state is BackupState.FAILED
    assert world.row(building.instance.id).state is InstanceState.ACTIVE
    error = world.events()[-1]
    assert error.event_type == "dbaas.backup_create.error"
    assert (error.payload["error_code"], error.payload["fault"]) == ("guest_failed", "system")


def test_another_guest_ends_nothing(world: World) -> None:
    building, other = Building(world), world.has()
    said = {"size_bytes": 7, "checksum": CHECKSUM}
    Reports(world.lifecycle).notify_end(building.context, instance_id=other.id, traits=said)
    assert building.row.state is BackupState.BUILDING
    assert [run.run_id for run in world.open_runs()] == [building.run.run_id]


def test_a_report_changes_no_backup_but_that_of_its_run(world: World) -> None:
    building = Building(world)
    other = new_backup(state=BackupState.BUILDING)
    with world.database.writing() as tx:
        backups.insert(tx, other)
    said = {"size_bytes": 7, "checksum": CHECKSUM, "backup_id": other.id}
    Reports(world.lifecycle).notify_end(building.context, instance_id=building.instance.id, traits=said)
    with world.database.reading() as tx:
        found = backups.get(tx, other.id)
    assert found is not None
    assert found.state is BackupState.BUILDING
    assert json.loads(building.run.traits)["backup_id"] == building.id
