"""Configuration over RPC: what the guest answers, when it starts with it, and what it no longer does."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.functional.guestagent.conftest import Guest, context

from coffer.catalogue.errors import BadRequest, GuestFailed, InvalidParameter
from coffer.guestagent.configurations import Configurations
from coffer.guestagent.journal import Journal
from coffer.guestagent.reporting import Reporter
from coffer.guestagent.work import Work
from coffer.wire.conductor_client import ConductorClient
from coffer.wire.context import TroveContext

CTX = TroveContext(overwrite=False)


def value_of(guest: Guest, name: str) -> str:
    with guest.driver._server.session() as session:
        row = session.execute("select current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])


def test_a_guest_applies_checks_and_restarts(guest: Guest) -> None:
    guest.new_agent()
    ctx = context("instance_create")
    guest.client.prepare(ctx, [], [], configuration={"max_connections": "31", "work_mem": "3MB"})
    assert guest.conductor.of(ctx).etype == ""
    assert value_of(guest, "max_connections") == "31"

    assert guest.client.apply_configuration(CTX, {"max_connections": "32"}) == {"restart_required": True}
    assert value_of(guest, "work_mem") != "3MB"
    with pytest.raises(InvalidParameter, match="TimeZone"):
        guest.client.check_configuration(CTX, {"TimeZone": "Mars/Olympus"})
    with pytest.raises(InvalidParameter, match="shared memory"):
        guest.client.apply_configuration(CTX, {"shared_buffers": "64GB"})

    guest.client.restart(CTX, configuration={"max_connections": "33"})
    assert value_of(guest, "max_connections") == "33"
    guest.client.restart(CTX)
    assert value_of(guest, "max_connections") == "33"
    guest.client.restart(CTX, configuration={})
    assert value_of(guest, "max_connections") not in {"31", "32", "33"}


def test_a_restart_with_what_the_server_would_not_start_with_changes_nothing(guest: Guest) -> None:
    guest.new_agent()
    guest.prepare()
    with pytest.raises(InvalidParameter):
        guest.client.restart(CTX, configuration={"TimeZone": "Mars/Olympus"})
    assert guest.client.status(CTX) == "HEALTHY"


def test_a_creation_with_what_the_server_would_not_start_with_says_why(guest: Guest) -> None:
    guest.new_agent()
    ctx = context("instance_create")
    guest.client.prepare(ctx, [], [], configuration={"shared_buffers": "64GB"})
    assert guest.conductor.of(ctx).etype == "invalid_parameter"


def test_what_was_given_up_is_not_done_late(guest: Guest) -> None:
    guest.driver.prepare([], [])
    endpoint = Configurations()
    reporter = Reporter(ConductorClient(guest.transport), "x", Journal(guest.place.directory))
    endpoint._work = Work(guest.driver, reporter)
    late = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    soon = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()

    with pytest.raises(GuestFailed, match="too late"):
        endpoint.apply_configuration(CTX, {"work_mem": "3MB"}, until=late)
    assert value_of(guest, "work_mem") != "3MB"
    assert endpoint.apply_configuration(CTX, {"work_mem": "3MB"}, until=soon) == {"restart_required": False}
    assert value_of(guest, "work_mem") == "3MB"
    with pytest.raises(BadRequest):
        endpoint.apply_configuration(CTX, {"work_mem": 3})
    with pytest.raises(BadRequest):
        endpoint.apply_configuration(CTX, {}, until="tomorrow")
