"""Notifications as they come from a broker."""

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from coffer.wire.envelope import Notification, seal

HAPPENED = datetime(2026, 11, 22, 8, 0, 0, 123456, tzinfo=UTC)
ARRIVAL = datetime(2026, 11, 22, 9, tzinfo=UTC)

_NOTIFICATION = Notification(
    message_id="m-1",
    unique_id="u-1",
    event_type="dbaas.database_create.start",
    severity="info",
    publisher_id="api.host-1",
    timestamp=HAPPENED,
    payload={
        "tenant_id": "acme",
        "request_id": "req-1",
        "run_id": "run-1",
        "instance_id": "instance-1",
        "dbname": "shop",
    },
    context={"request_id": "req-1", "project_id": "acme"},
)


def notification(message_id: str = "m-1", **changes: Any) -> Notification:
    """The start of `database_create`, with fields changed."""
    return replace(_NOTIFICATION, message_id=message_id, **changes)


def message(message_id: str = "m-1", **changes: Any) -> bytes:
    """The same, as it travels."""
    return seal(notification(message_id, **changes))
