"""What a guest says of its volume is shown if it can be true, and does no harm if it cannot."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.functional.api.world import World
from tests.support.databases import sqlite_template, sqlite_url

from coffer.conductor.reports import Reports
from coffer.lifecycle.emitter import utcnow
from coffer.wire.context import TroveContext

__all__ = ["sqlite_template", "sqlite_url"]

CTX = TroveContext(overwrite=False)
GIB = 2**30


@pytest.fixture
def world(sqlite_url: str) -> Iterator[World]:
    with World(sqlite_url) as opened:
        yield opened


def test_what_is_used_is_shown_and_kept_until_something_newer_is_known(world: World) -> None:
    now = utcnow()
    instance = world.has(volume_gib=2, service_seen_at=now - timedelta(seconds=30))
    reports = Reports(world.lifecycle)

    def beat(ago_s: float, **more: Any) -> Any:
        sent_at = (now - timedelta(seconds=ago_s)).isoformat()
        reports.heartbeat(CTX, instance_id=instance.id, status="HEALTHY", sent_at=sent_at, **more)
        return world.call("GET", f"/instances/{instance.id}").body["instance"]["volume"]

    assert beat(9) == {"size": 2}
    assert beat(8, volume_used_bytes=GIB // 2) == {"size": 2, "used": 0.5, "used_percent": 25.0}
    assert beat(7) == {"size": 2, "used": 0.5, "used_percent": 25.0}
    assert beat(10, volume_used_bytes=GIB) == {"size": 2, "used": 0.5, "used_percent": 25.0}
    assert beat(6, volume_used_bytes=0) == {"size": 2, "used": 0.0, "used_percent": 0.0}


@pytest.mark.parametrize("nonsense", [-1, 2**63, True, 1.5, "7", [], None])
def test_nonsense_is_left_out_and_the_sign_of_life_counts(world: World, nonsense: Any) -> None:
    instance = world.has(service_seen_at=None)

    Reports(world.lifecycle).heartbeat(
        CTX,
        instance_id=instance.id,
        status="HEALTHY",
        sent_at=utcnow().isoformat(),
        volume_used_bytes=nonsense,
    )

    row = world.row(instance.id)
    assert row.volume_used_bytes is None
    assert row.service_seen_at is not None
