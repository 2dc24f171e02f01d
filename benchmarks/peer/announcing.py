"""Upstream's announcements: `DBaaSInstanceCreate` as its API and its taskmanager use it, and its `Notifier` alone."""

import json
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from trove import rpc
from trove.common.context import TroveContext
from trove.common.notification import DBaaSInstanceCreate

REQUEST = SimpleNamespace(remote_addr="127.0.0.1", host="127.0.0.1:8779")


def pairs(runs: int) -> Callable[[], int]:
    """Prepare `runs` creations; the work announces start and end of each, two notifications."""
    contexts = [
        TroveContext(
            user_id="alice", project_id="acme", roles=["member", "reader"], auth_token=str(uuid.uuid4())
        )
        for _ in range(runs)
    ]

    def work() -> int:
        for context in contexts:
            _pair(context)
        return 2 * runs

    return work


def _pair(context: TroveContext) -> None:
    notification = DBaaSInstanceCreate(context, request=REQUEST)
    context.notification = notification
    notification.notify_start(
        name="books",
        flavor_id="1",
        datastore="postgresql",
        datastore_version="17",
        image_id="7b6ff0a9-1c1c-4d0a-9d4e-7c1f4cf2a6d1",
        availability_zone="nova",
        region_name="RegionOne",
        databases="shop,orders,stock",
        users="alice,bob",
        volume_size=5,
    )
    notification.notify_end(instance_id=str(uuid.uuid4()))


def notifier(bodies: list[str]) -> Callable[[], int]:
    """Prepare sealed messages of coffer; the work sends their events through Trove's notifier, each confirmed alone."""
    sendable = [_parts(body) for body in bodies]

    def work() -> int:
        trove = rpc.get_notifier(service="taskmanager", publisher_id="taskmanager.bench")
        for context, event_type, payload in sendable:
            trove.info(context, event_type, payload)
        return len(sendable)

    return work


def _parts(body: str) -> tuple[TroveContext, str, dict[str, Any]]:
    message = json.loads(json.loads(body)["oslo.message"])
    context = TroveContext(
        user_id=message["_context_user_id"],
        project_id=message["_context_project_id"],
        roles=message["_context_roles"],
        request_id=message["_context_request_id"],
    )
    return context, message["event_type"], message["payload"]
