"""The conductor's door as a guest sees it, and strangers who knock."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.plane import PROJECT, Plane
from tests.support.rows import new_instance

from coffer.catalogue.states import InstanceState
from coffer.store import instances
from coffer.store.instances import Instance
from coffer.wire.context import TroveContext
from coffer.wire.contracts import CONDUCTOR

CALL_S = 20.0

STRANGERS: list[Any] = [None, "", 0, [], {}, "*", "%", "\x00", "\ud800", "x" * 1_000_000, "é"]
strangers = pytest.mark.parametrize("stranger", STRANGERS, ids=lambda value: ascii(value)[:12])


class Door:
    """Speaks to the conductor as a guest does, and waits until it has been heard; production casts."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self._rpc = CONDUCTOR.client(plane.rpc)

    def says(self, method: str, ctx: TroveContext, instance_id: Any, **args: Any) -> None:
        self._rpc.call(ctx, method, timeout_s=CALL_S, instance_id=instance_id, **args)

    def ended(self, ctx: TroveContext, instance_id: Any, traits: Any = None) -> None:
        self.says("notify_end", ctx, instance_id, traits=traits or {})

    def failed(
        self,
        ctx: TroveContext,
        instance_id: Any,
        etype: Any = "guest_failed",
        value: Any = None,
        trace: Any = "GuestFailed: no",
    ) -> None:
        value = {"data": {}, "message": "It did not work."} if value is None else value
        self.says("notify_exc_info", ctx, instance_id, etype=etype, value=value, trace=trace)

    def beats(self, instance_id: Any, status: Any = "HEALTHY", sent_at: Any = None) -> None:
        sent_at = datetime.now(UTC).isoformat() if sent_at is None else sent_at
        self.says("heartbeat", TroveContext(overwrite=False), instance_id, status=status, sent_at=sent_at)


def put(plane: Plane, **fields: Any) -> Instance:
    row = new_instance(**{"project_id": PROJECT, "state": InstanceState.ACTIVE, **fields})
    with plane.database.writing() as tx:
        instances.insert(tx, row)
    return row
