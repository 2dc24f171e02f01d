"""To which state an instance is reset, decided from what is known of it."""

from datetime import timedelta
from typing import Any

import pytest
from tests.support.rows import NOON, new_instance

from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.lifecycle.resetting import state_after

NOW = NOON + timedelta(minutes=10)
EXPIRY_S = 90.0
WELL: dict[str, Any] = {
    "state": InstanceState.ERROR,
    "launched_at": NOON,
    "fault_at": NOW - timedelta(seconds=60),
    "service_status": ServiceStatus.HEALTHY,
    "service_seen_at": NOW - timedelta(seconds=5),
}
ROWS = [
    ("its guest says that it is well again", {}, InstanceState.ACTIVE),
    ("it may have missed what its group says", {"configuration_id": "group-1"}, InstanceState.RESTART_REQUIRED),
    ("it never was launched", {"launched_at": None}, InstanceState.ERROR),
    ("nobody heard of its guest", {"service_seen_at": None}, InstanceState.ERROR),
    ("its guest spoke before it failed", {"fault_at": NOW - timedelta(seconds=4)}, InstanceState.ERROR),
    ("its guest is silent", {"service_seen_at": NOW - timedelta(seconds=91), "fault_at": NOON}, InstanceState.ERROR),
    ("its server is down", {"service_status": ServiceStatus.CRASHED}, InstanceState.ERROR),
    ("it is stuck and well", {"state": InstanceState.RESIZE, "fault_at": None}, InstanceState.ACTIVE),
    ("it is stuck and silent", {"state": InstanceState.REBOOT, "service_seen_at": None}, InstanceState.ERROR),
    ("it was never built", {"state": InstanceState.BUILD, "launched_at": None}, InstanceState.ERROR),
    ("it works", {"state": InstanceState.ACTIVE, "service_seen_at": None}, InstanceState.ACTIVE),
    ("it wants a restart", {"state": InstanceState.RESTART_REQUIRED}, InstanceState.RESTART_REQUIRED),
    ("it is gone", {"state": InstanceState.DELETED}, InstanceState.DELETED),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "state"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_an_instance_is_reset_to_what_is_known_of_it(fields: dict[str, Any], state: InstanceState) -> None:
    assert state_after(new_instance(**{**WELL, **fields}), NOW, EXPIRY_S) is state
