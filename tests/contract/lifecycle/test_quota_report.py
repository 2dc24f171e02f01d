"""The quota event: every project's quotas, a row a resource, with the project's id in it."""

from typing import Any

import pytest
from tests.support.audits import Ledger, at, stamp, to_the_end

from coffer.catalogue.events import EVENTS
from coffer.catalogue.resources import Resource
from coffer.catalogue.states import InstanceState
from coffer.lifecycle.announcer import Announcer
from coffer.lifecycle.quota_report import QuotaReport
from coffer.lifecycle.quotas import Quotas
from coffer.lifecycle.runs import Lifecycle
from coffer.store import instances, quotas
from coffer.store.tables import BACKUPS

Row = tuple[str, str, int, int, int]


class Stopwatch:
    def __init__(self) -> None:
        self.passed_s = 1000.0

    def __call__(self) -> float:
        return self.passed_s


@pytest.fixture
def stopwatch() -> Stopwatch:
    return Stopwatch()


def report(ledger: Ledger, stopwatch: Stopwatch, **settings: Any) -> QuotaReport:
    limits = Quotas({Resource.INSTANCES: 10, Resource.RAM: -1, Resource.VOLUMES: 40, Resource.BACKUPS: 50})
    return QuotaReport(ledger.lifecycle(), limits, interval_s=60, monotonic=stopwatch, **settings)


def rows(ledger: Ledger) -> list[Row]:
    return [
        tuple(each.payload[name] for name in ("tenant_id", "resource", "in_use", "reserved", "limit"))  # type: ignore[misc]
        for each in ledger.notifications()
    ]


def add_backup(ledger: Ledger, project_id: str, state: str) -> None:
    values = {"id": f"{project_id}-{state}", "instance_id": "i", "name": "b", "datastore": "postgresql"}
    values |= {"project_id": project_id, "state": state, "datastore_version": "17"}
    with ledger.database.writing() as tx:
        tx.execute(BACKUPS.insert(), {**values, "created_at": at(-1), "updated_at": at(-1)})


def test_the_event_tells_each_resource_of_each_project(ledger: Ledger, stopwatch: Stopwatch) -> None:
    ledger.add(project_id="acme", ram_mib=512, volume_gib=2)
    ledger.add(project_id="acme", ram_mib=1024, volume_gib=3, state=InstanceState.BUILD, launched_at=None)
    resized = ledger.add(project_id="acme", ram_mib=2048, volume_gib=5)
    ledger.add(project_id="acme", state=InstanceState.DELETED, deleted_at=at(-1))
    add_backup(ledger, "acme", "COMPLETED")
    add_backup(ledger, "acme", "BUILDING")
    ledger.add(project_id="zoo", volume_gib=None)
    with ledger.database.writing() as tx:
        instances.move(tx, resized.id, None, InstanceState.RESIZE, at(-1))
        instances.update(tx, resized.id, at(-1), wanted_ram_mib=4096)
        quotas.set_limits(tx, "zoo", {Resource.INSTANCES: 3}, at(-1))
        quotas.set_limits(tx, "idle", {Resource.BACKUPS: 0}, at(-1))

    to_the_end(report(ledger, stopwatch))

    assert rows(ledger) == [
        ("acme", "instances", 2, 1, 10),
        ("acme", "ram", 2560, 1024 + 2048, -1),
        ("acme", "volumes", 7, 3, 40),
        ("acme", "backups", 1, 1, 50),
        ("idle", "instances", 0, 0, 10),
        ("idle", "ram", 0, 0, -1),
        ("idle", "volumes", 0, 0, 40),
        ("idle", "backups", 0, 0, 0),
        ("zoo", "instances", 1, 0, 3),
        ("zoo", "ram", 512, 0, -1),
        ("zoo", "volumes", 0, 0, 40),
        ("zoo", "backups", 0, 0, 50),
    ]
    assert ledger.wakes == 1


def test_the_event_has_the_declared_traits(
    ledger: Ledger, stopwatch: Stopwatch, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.add(project_id="acme", created_at=at(-9), deleted_at=at(-2))
    report(ledger, stopwatch).step()
    notification = ledger.notifications()[0]
    assert caplog.records == []
    event = EVENTS["trove.quota"]
    assert notification.event_type == "trove.quota"
    assert set(notification.payload) == {trait.field for trait in event.all_traits}
    assert notification.payload["updated"] == stamp(at(-2))
    assert notification.context == {"project_id": "acme", "tenant": "acme"}


def test_a_project_that_never_changed_anything_has_no_time_of_change(
    ledger: Ledger, stopwatch: Stopwatch
) -> None:
    with ledger.database.writing() as tx:
        quotas.set_limits(tx, "new", {Resource.INSTANCES: 3}, at(-1))
    report(ledger, stopwatch).step()
    assert all("updated" not in each.payload for each in ledger.notifications())


def test_the_report_comes_at_the_start_and_then_at_its_interval(ledger: Ledger, stopwatch: Stopwatch) -> None:
    ledger.add()
    chore = report(ledger, stopwatch)
    for passed_s, reports in ((0, 1), (59.9, 1), (60, 2), (60.1, 2), (119.9, 2), (125, 3), (184, 3)):
        stopwatch.passed_s = 1000.0 + passed_s
        to_the_end(chore)
        assert len(rows(ledger)) == reports * len(Resource), passed_s


@pytest.mark.parametrize("page", [1, 2, 3, 5, 250])
def test_pages_are_all_of_the_projects_once(ledger: Ledger, stopwatch: Stopwatch, page: int) -> None:
    names = ["a", "b", "c", "d", "e"]
    for number, name in enumerate(reversed(names)):
        for _ in range(number + 1):
            ledger.add(project_id=name)
    add_backup(ledger, "c", "COMPLETED")
    to_the_end(report(ledger, stopwatch, page=page))
    assert [row[0] for row in rows(ledger) if row[1] == "instances"] == names


def test_the_operator_may_call_the_event_otherwise(ledger: Ledger, stopwatch: Stopwatch) -> None:
    ledger.add()
    emitter = ledger.lifecycle().announcer.emitter
    announcer = Announcer(emitter, event_types={"trove.quota": "dbaas.quota"})
    QuotaReport(Lifecycle(ledger.database, announcer), Quotas(), interval_s=60, monotonic=stopwatch).step()
    assert {each.event_type for each in ledger.notifications()} == {"dbaas.quota"}
