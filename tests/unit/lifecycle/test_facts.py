"""An instance as what a bill is made of."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.rows import NOON, new_instance

from coffer.catalogue.events import EVENTS
from coffer.catalogue.states import InstanceState
from coffer.lifecycle.facts import UNKNOWN_SERVICE_ID, instance_facts
from coffer.lifecycle.payloads import checked, timestamp

INSTANCE = new_instance(
    id="i-1",
    state=InstanceState.ACTIVE,
    server_id="s-1",
    volume_id="v-1",
    availability_zone="nova",
    launched_at=NOON + timedelta(minutes=3),
)
SERVICE_IDS = {"postgresql": "service-1"}


def told(event_type: str, instance: object = INSTANCE) -> dict[str, str | int | float]:
    payload = checked(EVENTS[event_type], instance_facts(instance, service_ids=SERVICE_IDS))  # type: ignore[arg-type]
    assert payload.problems == ()
    return payload.values


def test_a_creation_has_every_trait_of_the_specification() -> None:
    assert told("trove.instance.create") == {
        "instance_type": "tiny",
        "user_id": "user-1",
        "instance_id": "i-1",
        "instance_type_id": "1",
        "launched_at": timestamp(NOON),
        "instance_name": "shop",
        "state": "active",
        "state_description": "active",
        "nova_instance_id": "s-1",
        "service_id": "service-1",
        "created_at": timestamp(NOON),
        "region": "RegionOne",
        "name": "shop",
        "availability_zone": "nova",
        "instance_size": 512,
        "volume_size": 2,
        "nova_volume_id": "v-1",
        "tenant_id": "project-1",
    }


def test_a_deletion_says_when_it_was_complete() -> None:
    gone = replace(INSTANCE, state=InstanceState.DELETED, deleted_at=NOON + timedelta(days=1))

    payload = told("trove.instance.delete", gone)

    assert payload["deleted_at"] == timestamp(NOON + timedelta(days=1))
    assert payload["state"] == "deleted"


def test_a_bill_starts_when_the_tenant_asked_and_not_when_the_server_was_there() -> None:
    payload = told("trove.instance.create")

    assert payload["launched_at"] == payload["created_at"] == timestamp(NOON)


@pytest.mark.parametrize("field", ["volume_gib", "volume_id", "server_id", "availability_zone", "cluster_id"])
def test_what_an_instance_has_not_is_not_told(field: str) -> None:
    keys = {"volume_gib": "volume_size", "volume_id": "nova_volume_id", "server_id": "nova_instance_id"}

    assert keys.get(field, field) not in told("trove.instance.create", replace(INSTANCE, **{field: None}))


def test_a_datastore_without_a_service_id_is_billed_as_unknown() -> None:
    facts = instance_facts(INSTANCE, service_ids={})

    assert facts["service_id"] == UNKNOWN_SERVICE_ID
