"""Configurations and messages for tests of messaging."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from oslo_config import cfg

from coffer.wire import options
from coffer.wire.envelope import Notification, envelope_of, seal
from coffer.wire.json import JSON
from coffer.wire.publisher import Outgoing

MEMORY_URL = "kombu+memory://"


def messaging_conf(url: str, **overrides: object) -> cfg.ConfigOpts:
    """Return a private configuration; an override is `option` or `group__option`."""
    conf = cfg.ConfigOpts()
    options.register(conf)
    conf([], project="coffer", default_config_files=[])
    conf.set_override("transport_url", url)
    for name, value in overrides.items():
        group, _, option = name.rpartition("__")
        conf.set_override(option, value, group=group or None)
    return conf


def notification(
    number: int = 0, *, severity: str = "info", payload: dict[str, JSON] | None = None
) -> Notification:
    """Return a notification; `number` is in its payload."""
    return Notification(
        message_id=str(uuid.uuid4()),
        unique_id=uuid.uuid4().hex,
        event_type=f"dbaas.database_create.{'error' if severity == 'error' else 'start'}",
        severity=severity,
        publisher_id="api.test",
        timestamp=datetime.now(UTC),
        payload={"number": number, "tenant_id": "p1", **(payload or {})},
        context={"request_id": "req-1", "project_id": "p1", "user_id": "u1"},
    )


def outgoing(count: int, *, first_id: int = 1, severity: str = "info") -> list[Outgoing]:
    """Return `count` sealed messages with ids from `first_id` on."""
    return [
        Outgoing(id=number, severity=severity, body=seal(notification(number, severity=severity)))
        for number in range(first_id, first_id + count)
    ]


def inside(bodies: Sequence[bytes]) -> list[JSON]:
    """Return the message inside each envelope, as the text it was sealed as."""
    return [envelope_of(body)["oslo.message"] for body in bodies]


def ids(batch: Sequence[Outgoing]) -> frozenset[int]:
    """Return the ids of `batch`."""
    return frozenset(message.id for message in batch)
