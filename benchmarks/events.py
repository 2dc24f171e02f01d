"""The events that are measured: the start and the ending of a creation, as the services write them."""

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from coffer.catalogue.operations import ServerType
from coffer.lifecycle.announcer import Announcement, Announcer
from coffer.lifecycle.emitter import Emitter

if TYPE_CHECKING:
    from coffer.lifecycle.payloads import Value
    from coffer.wire.json import JSON

ANNOUNCER = Announcer(
    Emitter(server_type=ServerType.API, host="bench", server_ip="127.0.0.1:8779", service_id="bench")
)


def start_and_end(run_id: str) -> list[Announcement]:
    """Return the two announcements of a run."""
    request_id, instance_id = f"req-{uuid.uuid4()}", str(uuid.uuid4())
    context: dict[str, JSON] = {
        "request_id": request_id,
        "project_id": "acme",
        "tenant": "acme",
        "user_id": "alice",
        "user": "alice",
        "is_admin": False,
        "roles": ["member", "reader"],
    }
    values: dict[str, Value] = {
        "tenant_id": "acme",
        "client_ip": "127.0.0.1:40000",
        "server_ip": "127.0.0.1:8779",
        "server_type": "api",
        "request_id": request_id,
        "run_id": run_id,
        "instance_id": instance_id,
        "name": "books",
    }
    asked: dict[str, Value] = {
        "flavor": "1",
        "datastore": "postgresql",
        "datastore_version": "17",
        "databases": "shop,orders,stock",
        "users": "alice,bob",
        "volume_size": 5,
    }
    return [
        Announcement("dbaas.instance_create.start", {**values, **asked}, context, run_id),
        Announcement("dbaas.instance_create.end", {**values, "duration_s": 5.25}, context, run_id),
    ]


def now() -> datetime:
    """Return the present."""
    return datetime.now(UTC)
