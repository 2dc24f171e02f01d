"""What the control plane changes of users through a guest: what it waits for, and what is reported."""

import os
import signal

import pytest
from tests.functional.guestagent.conftest import Guest, context
from tests.support.tenants import write_and_read
from tests.support.waiting import wait_for

from coffer.catalogue.errors import BadRequest, GuestFailed, GuestUnreachable, NotFound
from coffer.datastores.postgresql import process
from coffer.datastores.postgresql.layout import Layout
from coffer.wire.context import TroveContext
from coffer.wire.guest_client import GuestClient

ASK = TroveContext(project_id="p1", overwrite=False)
BOB = {"name": "bob", "password": "first", "host": "%", "databases": [{"name": "shop"}]}


def test_renames_and_passwords_are_reported_as_the_end_of_their_runs(guest: Guest) -> None:
    guest.new_agent()
    guest.prepare(databases=[{"name": "shop"}], users=[BOB])
    steps = [
        (
            "bob",
            "second",
            lambda ctx: guest.client.change_password(ctx, {"name": "bob", "password": "second"}),
        ),
        ("rob", "second", lambda ctx: guest.client.update_attributes(ctx, "bob", "%", {"name": "rob"})),
        ("rob", "third", lambda ctx: guest.client.update_attributes(ctx, "rob", None, {"password": "third"})),
    ]
    for name, password, step in steps:
        ctx = context("user_update_attributes")
        step(ctx)
        assert guest.conductor.of(ctx).etype == ""
        assert write_and_read(guest.place, name, password, "shop") == 42


def test_a_change_that_cannot_be_is_reported_without_the_password(guest: Guest) -> None:
    guest.new_agent()
    guest.prepare(databases=[{"name": "shop"}], users=[BOB, {**BOB, "name": "ann"}])
    canary = "canary-password"
    wrong = [
        ("not_found", lambda ctx: guest.client.change_password(ctx, {"name": "no", "password": canary})),
        ("user_exists", lambda ctx: update(guest, ctx, "bob", {"name": "ann", "password": canary})),
        ("not_found", lambda ctx: update(guest, ctx, "no", {"name": "x", "password": canary})),
        ("bad_request", lambda ctx: update(guest, ctx, "bob", {"name": "a\0b", "password": canary})),
        ("bad_request", lambda ctx: update(guest, ctx, "bob", {"name": 5, "password": canary})),
        ("bad_request", lambda ctx: update(guest, ctx, "bob", {"host": "10.0.0.1", "password": canary})),
        ("bad_request", lambda ctx: guest.client.change_password(ctx, {"name": "bob", "passwort": canary})),
    ]
    for code, step in wrong:
        ctx = context("user_update_attributes")
        step(ctx)
        report = guest.conductor.of(ctx)
        assert report.etype == code
        assert canary not in repr(report)
    assert write_and_read(guest.place, "bob", "first", "shop") == 42


def update(guest: Guest, ctx: TroveContext, name: str, changes: dict[str, object]) -> None:
    guest.client.update_attributes(ctx, name, "%", changes)  # type: ignore[arg-type]  # that is the test


def test_access_is_changed_while_the_caller_waits_and_nothing_is_reported(guest: Guest) -> None:
    guest.new_agent()
    guest.prepare(databases=[{"name": "shop"}, {"name": "other"}], users=[BOB])
    reported = len(guest.conductor.reports)

    guest.client.grant_access(ASK, "bob", "%", "other")
    assert guest.client.list_access(ASK, "bob") == [{"name": "other"}, {"name": "shop"}]
    guest.client.revoke_access(ASK, "bob", "%", "shop")
    assert guest.client.list_access(ASK, "bob") == [{"name": "other"}]

    for ask in (guest.client.grant_access, guest.client.revoke_access):
        with pytest.raises(NotFound, match="Database nowhere"):
            ask(ASK, "bob", "%", "nowhere")
        with pytest.raises(NotFound, match="User nobody"):
            ask(ASK, "nobody", "%", "shop")
        with pytest.raises(BadRequest, match="no host"):
            ask(ASK, "bob", "10.0.0.1", "shop")
    assert len(guest.conductor.reports) == reported


def test_root_is_taken_away_and_was_perhaps_never_given(guest: Guest) -> None:
    guest.new_agent()
    guest.prepare()
    guest.client.disable_root(ASK)
    guest.client.enable_root(ASK, "root's")
    assert guest.client.is_root_enabled(ASK)
    guest.client.disable_root(ASK)
    assert not guest.client.is_root_enabled(ASK)


def test_a_dead_server_is_a_reason_and_a_dead_agent_a_silence(guest: Guest) -> None:
    agent = guest.new_agent()
    guest.prepare(databases=[{"name": "shop"}], users=[BOB])
    found = process.find(Layout(guest.place))
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    wait_for(lambda: process.find(Layout(guest.place)) is None, 5, "the server's death")

    with pytest.raises(GuestFailed, match="not running"):
        guest.client.grant_access(ASK, "bob", "%", "shop")
    ctx = context("user_change_password")
    guest.client.change_password(ctx, {"name": "bob", "password": "canary"})
    assert guest.conductor.of(ctx).etype == "guest_failed"
    assert "canary" not in repr(guest.conductor.of(ctx))

    agent.stop()
    with pytest.raises(GuestUnreachable):
        GuestClient(guest.transport, guest.place.instance_id, timeout_s=0.5).revoke_access(
            ASK, "bob", "%", "shop"
        )
