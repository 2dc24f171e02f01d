"""Instances as bodies: what is shown when."""

from datetime import timedelta

import pytest
from tests.support.rows import NOON, new_instance

from coffer.api.views.instances import Viewer, detail, operating_status, summary
from coffer.api.views.links import Here
from coffer.catalogue.states import InstanceState, ServiceStatus

VIEWER = Viewer(here=Here("http://h", "p"), now=NOON, heartbeat_expiry_s=90, is_admin=False)


@pytest.mark.parametrize(
    ("state", "service", "silent_s", "shown"),
    [
        ("ACTIVE", "HEALTHY", 0, "HEALTHY"),
        ("ACTIVE", "HEALTHY", 90, "HEALTHY"),
        ("ACTIVE", "HEALTHY", 91, "ERROR"),
        ("ACTIVE", "CRASHED", 0, "CRASHED"),
        ("ACTIVE", "NEW", None, "ERROR"),
        ("BACKUP", "HEALTHY", 0, "HEALTHY"),
        ("RESTART_REQUIRED", "HEALTHY", 0, "HEALTHY"),
        ("BUILD", "HEALTHY", 0, ""),
        ("REBOOT", "HEALTHY", 0, ""),
        ("ERROR", "HEALTHY", 0, ""),
        ("SHUTDOWN", "HEALTHY", 0, ""),
    ],
)
def test_health_is_shown_while_an_instance_serves(
    state: str, service: str, silent_s: int | None, shown: str
) -> None:
    instance = new_instance(
        state=InstanceState(state),
        service_status=ServiceStatus(service),
        service_seen_at=None if silent_s is None else NOON - timedelta(seconds=silent_s),
    )

    assert operating_status(instance, VIEWER) == shown


def test_what_is_not_known_is_not_shown() -> None:
    body = detail(new_instance(volume_gib=None), None, VIEWER)

    absent = [
        "volume",
        "ip",
        "addresses",
        "port",
        "replica_of",
        "cluster_id",
        "fault",
        "service_status_updated",
    ]
    assert not set(absent) & body.keys()
    assert body["datastore"] == {"type": "postgresql", "version": "17"}


def test_a_replica_and_a_member_of_a_cluster_say_so() -> None:
    body = summary(new_instance(replica_of="i-1", cluster_id="c-1"), "17", VIEWER)

    assert body["cluster_id"] == "c-1"
    assert body["replica_of"] == {
        "id": "i-1",
        "links": [
            {"rel": "self", "href": "http://h/v1.0/p/instances/i-1"},
            {"rel": "bookmark", "href": "http://h/instances/i-1"},
        ],
    }


def test_a_fault_stays_visible_until_it_is_cleared_and_an_error_always_has_a_reason() -> None:
    kept = new_instance(state=InstanceState.ACTIVE, fault_message="No disk.", fault_at=NOON)
    bare = new_instance(state=InstanceState.ERROR)

    assert detail(kept, None, VIEWER)["fault"] == {
        "message": "No disk.",
        "created": "2026-03-29T12:00:00",
        "details": None,
    }
    assert "operator" in str(detail(bare, None, VIEWER)["fault"])
