"""Orders to change the size, as they reach an agent: the last one given counts, in whatever order they come."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.functional.guestagent.conftest import Guest
from tests.support.tenants import log_in
from tests.support.waiting import wait_for

from coffer.catalogue.errors import BadRequest, GuestFailed
from coffer.wire.context import TroveContext
from coffer.wire.contracts import GUEST_SERVER, guest_contract
from coffer.wire.rpc import RpcClient

ASK = TroveContext(project_id="p1", overwrite=False)
NOW = datetime.now(UTC)
BOB = {"name": "bob", "password": "bob's", "host": "%", "databases": [{"name": "shop"}]}


def at(minutes: int) -> str:
    return (NOW + timedelta(minutes=minutes)).isoformat()


def shared_buffers(guest: Guest) -> str:
    with log_in(guest.place, "bob", "bob's", "shop") as session:
        row = session.execute("show shared_buffers").fetchone()
        assert row is not None
        return str(row[0])


def raw_client(guest: Guest) -> RpcClient:
    contract = guest_contract(guest.place.instance_id)
    return RpcClient(
        guest.transport, topic=contract.topic, server=GUEST_SERVER, version="1.0", service="guest"
    )


def test_the_order_that_was_given_last_counts(guest: Guest) -> None:
    guest.new_agent()
    guest.prepare(databases=[{"name": "shop"}], users=[BOB])
    assert shared_buffers(guest) == "32MB"

    guest.client.resize(ASK, 256, asked_at=at(1))
    assert shared_buffers(guest) == "64MB"
    with pytest.raises(GuestFailed, match="later order"):
        guest.client.resize(ASK, 128, asked_at=at(0))
    assert shared_buffers(guest) == "64MB"
    guest.client.resize(ASK, 128, asked_at=at(2), is_awaited=False)

    def has_the_old_memory() -> bool:
        try:
            return shared_buffers(guest) == "32MB"
        except psycopg.OperationalError:
            return False  # it is just being restarted

    wait_for(has_the_old_memory, 60, "the old memory")

    guest.client.resize_volume(ASK, 3, asked_at=at(0))
    with pytest.raises(GuestFailed, match="later order"):
        guest.client.resize_volume(ASK, 2, asked_at=at(-1))


def test_an_order_that_nobody_waits_for_any_more_is_not_followed(guest: Guest) -> None:
    guest.new_agent()
    guest.prepare(databases=[{"name": "shop"}], users=[BOB])
    args: dict[str, Any] = {"ram_mib": 256, "asked_at": at(-5), "until": at(-2)}

    with pytest.raises(GuestFailed, match="too late"):
        raw_client(guest).call(ASK, "resize", timeout_s=30, **args)

    assert shared_buffers(guest) == "32MB"


def test_an_agent_says_how_much_is_used(guest: Guest) -> None:
    guest.new_agent()
    guest.prepare()

    used = wait_for(
        lambda: max(guest.conductor.used_bytes, default=0) > 10_000_000, 30, "a heartbeat with the volume"
    )
    assert used


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("resize", {"ram_mib": "256", "asked_at": at(0)}),
    ("resize", {"ram_mib": True, "asked_at": at(0)}),
    ("resize", {"ram_mib": 0, "asked_at": at(0)}),
    ("resize", {"ram_mib": 256, "asked_at": "now"}),
    ("resize", {"ram_mib": 256, "asked_at": "2026-01-01T00:00:00"}),
    ("resize_volume", {"volume_gib": -1, "asked_at": at(0)}),
    ("resize_volume", {"volume_gib": 2, "asked_at": 7}),
]


def test_an_order_that_makes_no_sense_is_refused(guest: Guest) -> None:
    agent = guest.new_agent()
    guest.conductor.says("NEW")
    assert agent
    for method, args in WRONG:
        with pytest.raises(BadRequest):
            raw_client(guest).call(ASK, method, timeout_s=10, **args)
