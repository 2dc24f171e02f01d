"""What guests say of their servers, over real RPC."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.functional.conductor.door import Door, put, strangers
from tests.support.plane import Plane

from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.conductor.reports import Order, Reports, Taken
from coffer.store import guest_channels
from coffer.store.guest_channels import GuestChannel
from coffer.store.instances import Instance
from coffer.wire.context import TroveContext


def test_a_heartbeat_is_kept(plane: Plane, instance: Instance) -> None:
    sent_at = datetime.now(UTC)

    Door(plane).beats(instance.id, "CRASHED", sent_at.isoformat())

    row = plane.instance(instance.id)
    assert (row.service_status, row.service_seen_at) == (ServiceStatus.CRASHED, sent_at)


def test_an_older_heartbeat_never_overwrites_a_newer(plane: Plane, door: Door, instance: Instance) -> None:
    newer = datetime.now(UTC) - timedelta(seconds=1)
    door.beats(instance.id, "HEALTHY", newer.isoformat())

    door.beats(instance.id, "CRASHED", (newer - timedelta(microseconds=1)).isoformat())
    door.beats(instance.id, "CRASHED", newer.astimezone(UTC).isoformat())

    row = plane.instance(instance.id)
    assert (row.service_status, row.service_seen_at) == (ServiceStatus.HEALTHY, newer)


def test_of_a_stranger_the_number_counts_whatever_its_clock_says(plane: Plane, instance: Instance) -> None:
    key = GuestChannel(instance.id, 1, "sealed", datetime.now(UTC))
    with plane.database.writing() as tx:
        guest_channels.insert(tx, key)
    reports = Reports(plane.conductor)

    def beats(status: str, number: int, sent_at: str) -> str:
        ctx = TroveContext(overwrite=False)
        order = Order(key_id=1, number=number)
        return reports.heartbeat(ctx, instance_id=instance.id, status=status, sent_at=sent_at, order=order)

    assert beats("HEALTHY", 7, "2001-01-01T00:00:00+00:00") == Taken.WRITTEN
    # What was under way longer comes later, and is news of yesterday.
    assert beats("CRASHED", 6, "2099-01-01T00:00:00+00:00") == Taken.SETTLED
    assert beats("CRASHED", 7, "2099-01-01T00:00:00+00:00") == Taken.SETTLED
    assert plane.instance(instance.id).service_status == ServiceStatus.HEALTHY
    assert beats("CRASHED", 8, "2001-01-01T00:00:00+00:00") == Taken.WRITTEN
    assert plane.instance(instance.id).service_status == ServiceStatus.CRASHED


def test_a_guest_whose_clock_is_ahead_does_not_outlive_itself(
    plane: Plane, door: Door, instance: Instance
) -> None:
    door.beats(instance.id, "HEALTHY", "9999-12-31T23:59:59+00:00")
    seen_at = plane.instance(instance.id).service_seen_at
    assert seen_at is not None
    assert seen_at <= datetime.now(UTC)

    door.beats(instance.id, "CRASHED")
    assert plane.instance(instance.id).service_status == ServiceStatus.CRASHED


MALFORMED: list[dict[str, Any]] = [
    {"status": "FINE"},
    {"status": None},
    {"status": []},
    {"status": "HEALTHY'; DROP TABLE instances; --"},
    {"sent_at": "yesterday"},
    {"sent_at": "2026-01-01T00:00:00"},
    {"sent_at": 7},
    {"sent_at": []},
    {"sent_at": "0001-01-01T00:00:00+14:00"},
    {"sent_at": "9999-12-31T23:59:59-14:00"},
]


@pytest.mark.parametrize("said", MALFORMED, ids=json.dumps)
def test_a_malformed_heartbeat_is_refused(
    plane: Plane, door: Door, instance: Instance, said: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    door.beats(instance.id, **said)

    assert plane.instance(instance.id) == instance
    assert "heartbeat refused: malformed" in caplog.text
    assert "Traceback" not in caplog.text


@strangers
def test_a_heartbeat_of_nobody_is_refused(
    plane: Plane, door: Door, instance: Instance, stranger: Any, caplog: pytest.LogCaptureFixture
) -> None:
    door.beats(stranger)

    assert plane.instance(instance.id) == instance
    assert "Traceback" not in caplog.text
    assert len(caplog.text) < 5_000


def test_a_deleted_instance_has_no_sign_of_life(plane: Plane, door: Door) -> None:
    gone = put(plane, state=InstanceState.DELETED, deleted_at=plane.api.clock())

    door.beats(gone.id)

    assert plane.instance(gone.id) == gone
