"""What a running control plane announces by itself: the bill of an instance's life from its periods alone."""

import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from tests.support.standalone import Standalone, standalone
from tests.support.trove import Tenant
from tests.support.waiting import wait_for

INTERVAL_S = 3
PERIODS_S = 60.0

OPTIONS = {
    "DEFAULT": {
        "exists_notification_transformer": "coffer.lifecycle.exists.Exists",
        "exists_notification_interval": INTERVAL_S,
        "quota_notification_interval": 1,
        "quota_event_type": "dbaas.quota",
    }
}


@pytest.fixture
def coffer() -> Iterator[Standalone]:
    with standalone(OPTIONS) as running:
        yield running


def moment(event: dict[str, Any], trait: str) -> datetime:
    return datetime.fromisoformat(event["payload"][trait])


def events(coffer: Standalone, event_type: str) -> list[dict[str, Any]]:
    return [event for event in coffer.events() if event["event_type"] == event_type]


def periods(coffer: Standalone) -> list[dict[str, Any]]:
    return events(coffer, "trove.instance.exists")


def test_the_periods_of_an_instance_are_its_whole_life_though_the_control_plane_was_killed(
    coffer: Standalone,
) -> None:
    tenant = Tenant(coffer.url)
    instance_id = tenant.create_active()
    wait_for(lambda: periods(coffer), PERIODS_S, "the first period")
    coffer.kill_and_start()
    tenant = Tenant(coffer.url)
    tenant.api.instances.delete(instance_id)
    tenant.wait_until_gone(instance_id)
    (deletion,) = wait_for(lambda: events(coffer, "trove.instance.delete"), PERIODS_S, "the end of the bill")
    end = moment(deletion, "deleted_at")

    def is_over() -> bool:
        return any(moment(event, "audit_period_ending") == end for event in periods(coffer))

    wait_for(is_over, PERIODS_S, "the last period")
    told = sorted(periods(coffer), key=lambda event: moment(event, "audit_period_beginning"))
    assert moment(told[0], "audit_period_beginning") == moment(deletion, "created_at")
    for before, after in itertools.pairwise(told):
        boundary = moment(before, "audit_period_ending")
        assert boundary == moment(after, "audit_period_beginning")
        assert boundary.timestamp() % INTERVAL_S == 0
    assert {event["payload"]["instance_id"] for event in told} == {instance_id}


def test_quotas_follow_what_a_project_has(coffer: Standalone) -> None:
    def in_use(resource: str) -> list[int]:
        return [
            event["payload"]["in_use"]
            for event in events(coffer, "dbaas.quota")
            if event["payload"]["resource"] == resource
        ]

    tenant = Tenant(coffer.url)
    instance_id = tenant.create_active()
    wait_for(lambda: in_use("instances")[-1:] == [1], PERIODS_S, "the instance to be counted")
    assert in_use("volumes")[-1] == tenant.show(instance_id)["volume"]["size"]
    tenant.api.instances.delete(instance_id)
    tenant.wait_until_gone(instance_id)
    wait_for(lambda: in_use("instances")[-1:] == [0], PERIODS_S, "nothing to be counted any more")
