"""Another flavor and a larger volume, from the call to the running server, the events and the bill; and what fails."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from tests.support.control_plane import PROJECT, ControlPlane
from tests.support.waiting import wait_for

from coffer.catalogue.events import EVENTS
from coffer.catalogue.resources import Resource
from coffer.catalogue.states import InstanceState
from coffer.clouds.cloud import Flavor
from coffer.lifecycle.payloads import timestamp
from coffer.store import instances, quotas
from coffer.store.instances import Instance
from coffer.store.tables import RUNS
from coffer.wire.envelope import Notification

GIB = 2**30
HUGE = Flavor(id="huge", name="db.huge", ram_mib=2**31 - 1, vcpus=1, disk_gib=5)
"""So large that PostgreSQL cannot count its shared buffers: it does not start."""


@dataclass(frozen=True)
class Told:
    """What was announced by one resize."""

    start: Notification
    ending: Notification
    facts: list[Notification]

    @property
    def error(self) -> dict[str, Any]:
        assert self.ending.event_type.endswith(".error")
        assert self.ending.severity == "error"
        return dict(self.ending.payload)


@contextmanager
def announced(control: ControlPlane) -> Iterator[list[Told]]:
    """Collect what is announced while the block lasts: one run."""
    before = len(control.events())
    told: list[Told] = []
    yield told
    events = control.events()[before:]
    runs = [event for event in events if event.event_type.startswith("dbaas.")]
    start, ending = runs
    assert start.event_type.endswith(".start")
    assert start.payload["run_id"] == ending.payload["run_id"]
    assert start.payload["request_id"] == ending.payload["request_id"]
    facts = [event for event in events if event.event_type.startswith("trove.")]
    told.append(Told(start=start, ending=ending, facts=facts))
    assert control.open_runs() == []


def resize(control: ControlPlane, instance_id: str, change: object) -> None:
    """Ask for another size and wait until that is over."""
    assert control.action(instance_id, {"resize": change}) == 202
    control.wait_for(instance_id, "ACTIVE")


def usage(control: ControlPlane) -> dict[str, tuple[int, int]]:
    with control.database.reading() as tx:
        return {name: (each.in_use, each.reserved) for name, each in quotas.usage(tx, PROJECT).items()}


def size_of(row: Instance) -> tuple[object, ...]:
    return (
        row.flavor_id,
        row.flavor_name,
        row.ram_mib,
        row.volume_gib,
        row.wanted_ram_mib,
        row.wanted_volume_gib,
    )


def assert_whole(fact: Notification, row: Instance) -> None:
    """Hold a fact against the catalogue (nothing is missing) and against the row (nothing is wrong)."""
    event = EVENTS[fact.event_type]
    payload = fact.payload
    known_to_none = {"cluster_id"}
    wanted = {trait.field for trait in (*event.traits, *event.extension_traits)} - known_to_none
    assert wanted == payload.keys()
    assert {name: payload[name] for name in ("tenant_id", "user_id", "instance_id", "instance_name")} == {
        "tenant_id": PROJECT,
        "user_id": "noauth",
        "instance_id": row.id,
        "instance_name": row.name,
    }
    assert payload["created_at"] == payload["launched_at"] == timestamp(row.created_at)
    assert (payload["instance_type_id"], payload["instance_type"]) == (row.flavor_id, row.flavor_name)
    assert (payload["instance_size"], payload["volume_size"]) == (row.ram_mib, row.volume_gib)
    assert payload["modify_at"] == timestamp(fact.timestamp)
    assert payload["state"] == "active"


def test_another_flavor_changes_the_memory_of_the_running_server_and_the_bill(
    control: ControlPlane, instance_id: str
) -> None:
    with control.log_in(instance_id) as session:
        session.execute("create table if not exists kept as select 7 as n")
    assert control.ask(instance_id, "show shared_buffers") == "128MB"

    with announced(control) as told:
        resize(control, instance_id, {"flavorRef": "2"})

    row = control.row(instance_id)
    assert size_of(row) == ("2", "db.small", 1024, 1, None, None)
    assert control.ask(instance_id, "show shared_buffers") == "256MB"
    assert control.ask(instance_id, "select n from kept") == "7"
    assert control.guest_config(instance_id).ram_mib == 1024
    assert control.show(instance_id)["flavor"]["id"] == "2"
    assert usage(control)["ram"] == (1024, 0)
    (each,) = told
    assert each.start.payload["new_flavor_id"] == "2"
    assert each.ending.event_type == "dbaas.instance_resize_instance.end"
    assert (each.ending.payload["instance_id"], each.ending.payload["server_type"]) == (instance_id, "task")
    (fact,) = each.facts
    assert fact.event_type == "trove.instance.modify_flavor"
    assert_whole(fact, row)
    assert fact.payload["old_instance_size"] == 512

    with announced(control) as told:
        resize(control, instance_id, {"flavorRef": "1"})

    assert told[0].facts[0].payload["old_instance_size"] == 1024
    assert control.ask(instance_id, "show shared_buffers") == "128MB"


def test_a_larger_volume_is_there_while_the_server_serves(control: ControlPlane, instance_id: str) -> None:
    old_gib = control.row(instance_id).volume_gib
    assert old_gib is not None
    started_at = control.ask(instance_id, "select pg_postmaster_start_time()")

    with announced(control) as told:
        resize(control, instance_id, {"volume": {"size": old_gib + 2}})

    row = control.row(instance_id)
    assert (row.volume_gib, row.wanted_volume_gib) == (old_gib + 2, None)
    assert control.ask(instance_id, "select pg_postmaster_start_time()") == started_at
    assert control.guest_config(instance_id).volume_gib == old_gib + 2
    assert usage(control)["volumes"] == (old_gib + 2, 0)
    (each,) = told
    assert each.start.payload["new_size"] == old_gib + 2
    assert each.ending.event_type == "dbaas.instance_resize_volume.end"
    (fact,) = each.facts
    assert fact.event_type == "trove.instance.modify_volume"
    assert_whole(fact, row)
    assert fact.payload["old_volume_size"] == old_gib


def test_a_restart_that_was_required_still_is_after_the_volume_grew(
    control: ControlPlane, instance_id: str
) -> None:
    size_gib = (control.row(instance_id).volume_gib or 0) + 1
    with control.database.writing() as tx:
        instances.update(tx, instance_id, control.task.clock(), state=InstanceState.RESTART_REQUIRED)

    assert control.action(instance_id, {"resize": {"volume": {"size": size_gib}}}) == 202
    control.wait_for(instance_id, "RESTART_REQUIRED")

    assert control.row(instance_id).volume_gib == size_gib
    resize(control, instance_id, {"flavorRef": "2"})  # which restarts
    resize(control, instance_id, {"flavorRef": "1"})


def test_the_instance_shows_what_is_used_of_its_volume(control: ControlPlane, instance_id: str) -> None:
    wait_for(lambda: "used" in control.show(instance_id)["volume"], 30, "a heartbeat with the volume")

    volume = control.show(instance_id)["volume"]
    assert volume["size"] == control.row(instance_id).volume_gib
    assert 0 < volume["used"] < 1
    assert volume["used_percent"] == pytest.approx(100 * volume["used"] / volume["size"], abs=0.6)


def test_a_full_volume_is_read_only_until_it_is_larger(control: ControlPlane) -> None:
    instance_id = control.create_active(volume_gib=1)
    with (control.guest_dir(instance_id) / "data" / "ballast").open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, int(0.97 * GIB))

    def is_read_only() -> bool:
        return control.ask(instance_id, "show default_transaction_read_only") == "on"

    wait_for(is_read_only, 60, "the server to be read-only")
    with control.log_in(instance_id) as session, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        session.execute("create table more (n int)")
    wait_for(lambda: control.show(instance_id)["volume"]["used_percent"] > 95, 30, "the guest's word")

    resize(control, instance_id, {"volume": {"size": 2}})

    wait_for(lambda: not is_read_only(), 30, "the server to be writable")
    with control.log_in(instance_id) as session:
        session.execute("create table more (n int)")
    assert control.call("DELETE", f"/instances/{instance_id}")[0] == 202
    wait_for(lambda: control.row(instance_id).state == InstanceState.DELETED, 60, "the instance to be gone")


def test_a_flavor_on_which_the_server_does_not_start_leaves_it_as_it_was(
    control: ControlPlane, instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, used = size_of(control.row(instance_id)), usage(control)
    monkeypatch.setattr(control.cloud, "_flavors", (*control.cloud.flavors(), HUGE))

    with announced(control) as told:
        resize(control, instance_id, {"flavorRef": HUGE.id})

    error = told[0].error
    assert (error["fault"], error["error_code"]) == ("system", "guest_failed")
    assert "did not start" in error["message"]
    assert told[0].facts == []
    assert (size_of(control.row(instance_id)), usage(control)) == (before, used)
    assert control.guest_config(instance_id).ram_mib == 512
    assert control.ask(instance_id, "show shared_buffers") == "128MB"
    assert "did not start" in control.show(instance_id)["fault"]["message"]


def test_a_flavor_that_is_no_longer_offered_is_our_failure(
    control: ControlPlane, instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = size_of(control.row(instance_id))
    offered = control.cloud.flavors()
    asked: list[object] = []

    def flavors() -> tuple[Flavor, ...]:
        asked.append(None)
        return tuple(offered) if len(asked) == 1 else tuple(offered[:1])

    monkeypatch.setattr(control.cloud, "flavors", flavors)

    with announced(control) as told:
        resize(control, instance_id, {"flavorRef": "3"})

    assert (told[0].error["fault"], told[0].error["error_code"]) == ("system", "cloud_failed")
    assert size_of(control.row(instance_id)) == before


@pytest.mark.parametrize("change", [{"flavorRef": "2"}, {"volume": {"size": 20}}], ids=["flavor", "volume"])
def test_a_dead_guest_leaves_size_bill_and_quota_as_they_were(
    control: ControlPlane, instance_id: str, change: object
) -> None:
    before, used, config = (
        size_of(control.row(instance_id)),
        usage(control),
        control.guest_config(instance_id),
    )
    started_at = control.ask(instance_id, "select pg_postmaster_start_time()")
    control.launcher.stop(instance_id)
    control.site.guest_timeouts_s["restart_timeout_s"] = 1.0
    try:
        with announced(control) as told:
            resize(control, instance_id, change)
    finally:
        control.site.guest_timeouts_s.clear()
        control.launcher.launch(control.guest_dir(instance_id))

    error = told[0].error
    assert (error["fault"], error["error_code"]) == ("system", "guest_unreachable")
    assert told[0].facts == []
    assert (size_of(control.row(instance_id)), usage(control)) == (before, used)
    assert control.guest_config(instance_id) == config
    assert control.row(instance_id).state == InstanceState.ACTIVE
    # The new agent finds the order in its queue, and that it was taken back; the server runs on as if nothing was.
    control.wait_until_healthy(instance_id)
    assert control.ask(instance_id, "select pg_postmaster_start_time()") == started_at
    resize(control, instance_id, {"flavorRef": "2"})
    resize(control, instance_id, {"flavorRef": "1"})
    assert control.ask(instance_id, "show shared_buffers") == "128MB"


def test_past_its_deadline_it_is_over_and_taken_back(control: ControlPlane, instance_id: str) -> None:
    before, used = size_of(control.row(instance_id)), usage(control)
    control.launcher.stop(instance_id)
    control.site.guest_timeouts_s["restart_timeout_s"] = 4.0
    try:
        with announced(control) as told:
            assert control.action(instance_id, {"resize": {"flavorRef": "2"}}) == 202
            wait_for(
                lambda: control.guest_config(instance_id).ram_mib == 1024, 30, "the task to be in the middle"
            )
            assert usage(control)["ram"] == (512, 512)
            with control.database.writing() as tx:
                past = control.task.clock() - timedelta(seconds=1)
                tx.execute(RUNS.update().where(RUNS.c.ended_at.is_(None)).values(deadline_at=past))
            assert control.watchdog().sweep() == 1
            assert control.row(instance_id).state == InstanceState.ACTIVE
            assert usage(control) == used
        wait_for(lambda: control.guest_config(instance_id).ram_mib == 512, 30, "the task to take it back")
    finally:
        control.site.guest_timeouts_s.clear()
        control.launcher.launch(control.guest_dir(instance_id))

    assert (told[0].error["fault"], told[0].error["error_code"]) == ("system", "deadline_exceeded")
    assert size_of(control.row(instance_id)) == before
    control.wait_until_healthy(instance_id)
    assert control.ask(instance_id, "show shared_buffers") == "128MB"


def test_more_than_the_quota_is_refused_and_the_server_is_not_touched(
    control: ControlPlane, instance_id: str
) -> None:
    started_at = control.ask(instance_id, "select pg_postmaster_start_time()")
    with control.database.writing() as tx:
        quotas.set_limits(tx, PROJECT, {Resource.RAM: 1000}, control.task.clock())
    try:
        with announced(control) as told:
            assert control.action(instance_id, {"resize": {"flavorRef": "2"}}) == 413
    finally:
        with control.database.writing() as tx:
            quotas.set_limits(tx, PROJECT, {Resource.RAM: -1}, control.task.clock())

    assert (told[0].error["fault"], told[0].error["error_code"]) == ("user", "quota_exceeded")
    assert control.ask(instance_id, "select pg_postmaster_start_time()") == started_at
