"""Upstream's announcements: `DBaaSInstanceCreate` as its API and its taskmanager use it, and its `Notifier` alone."""

import json
import statistics
import time
import uuid
from collections.abc import Callable
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any

import sqlalchemy  # noqa: TID251 - the peer has its own
from trove import rpc
from trove.common import cfg
from trove.common.context import TroveContext
from trove.common.notification import DBaaSInstanceCreate

CONF = cfg.CONF
REQUEST = SimpleNamespace(remote_addr="127.0.0.1", host="127.0.0.1:8779")


def pairs(runs: int) -> Callable[[], dict[str, float]]:
    """Prepare `runs` creations; the work announces start and end of each, two notifications.

    Each in the midst of transactions, as in a request, where it finds the processor's caches full of other things. Only
    the calls that announce are timed, and of those the median counts.
    """
    contexts = [
        TroveContext(
            user_id="alice", project_id="acme", roles=["member", "reader"], auth_token=str(uuid.uuid4())
        )
        for _ in range(runs)
    ]

    def work() -> dict[str, float]:
        costs = [cost for context in contexts for cost in _pair(context)]
        wall_s, cpu_s = (statistics.median(side) for side in zip(*costs, strict=True))
        return {"count": 1, "wall_s": wall_s, "cpu_s": cpu_s}

    return work


def _pair(context: TroveContext) -> list[tuple[float, float]]:
    notification = DBaaSInstanceCreate(context, request=REQUEST)
    context.notification = notification
    start = partial(
        notification.notify_start,
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
    return [_cost(start), _cost(partial(notification.notify_end, instance_id=str(uuid.uuid4())))]


def _cost(call: Callable[[], object]) -> tuple[float, float]:
    _transaction()
    cpu_s, began_s = time.process_time(), time.perf_counter()
    call()
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    return wall_s, cpu_s


@lru_cache
def _engine() -> sqlalchemy.Engine:
    engine = sqlalchemy.create_engine(CONF.database.connection + "-turns")
    with engine.begin() as tx:
        tx.execute(sqlalchemy.text("CREATE TABLE IF NOT EXISTS turns (id INTEGER PRIMARY KEY, n INTEGER)"))
        tx.execute(sqlalchemy.text("INSERT INTO turns (n) VALUES (0)"))
    return engine


def _transaction() -> None:
    with _engine().begin() as tx:
        tx.execute(sqlalchemy.text("UPDATE turns SET n = n + 1"))


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
