"""What the control plane asks of a guest agent, and what it hears."""

import os
import signal
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from tests.functional.guestagent.conftest import Guest, context, threads_named
from tests.support.tenants import log_in, write_and_read
from tests.support.waiting import wait_for

from coffer.catalogue.errors import BadRequest, GuestFailed, NotFound
from coffer.catalogue.states import ServiceStatus
from coffer.datastores.postgresql import process
from coffer.datastores.postgresql.layout import Layout
from coffer.wire.context import TroveContext

ASK = TroveContext(project_id="p1", overwrite=False)


def kill_server(guest: Guest) -> None:
    found = process.find(Layout(guest.place))
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    wait_for(lambda: process.find(Layout(guest.place)) is None, 5, "the server's death")


def test_a_prepared_guest_reports_the_run_and_that_it_is_healthy(guest: Guest) -> None:
    guest.new_agent()
    guest.conductor.says("NEW")
    ctx = context("instance_create")
    user = {"name": "bob", "password": "bob's", "host": "%", "databases": [{"name": "shop"}]}
    guest.client.prepare(ctx, [{"name": "shop", "character_set": None}], [user])
    report = guest.conductor.of(ctx)
    assert (report.instance_id, report.etype) == (guest.place.instance_id, "")
    guest.conductor.says("HEALTHY")
    assert "BUILD" in [status for _, status, _ in guest.conductor.beats]
    instance_id, _, sent_at = guest.conductor.beats[-1]
    assert instance_id == guest.place.instance_id
    assert abs(datetime.now(UTC) - datetime.fromisoformat(sent_at)) < timedelta(seconds=30)
    assert write_and_read(guest.place, "bob", "bob's", "shop") == 42


def test_each_change_is_reported_as_the_end_of_its_own_run(guest: Guest) -> None:
    guest.new_agent()
    guest.prepare()
    steps = [
        lambda ctx: guest.client.create_database(ctx, {"name": "shop"}),
        lambda ctx: guest.client.create_user(
            ctx, {"name": "bob", "password": "x", "databases": [{"name": "shop"}]}
        ),
        lambda ctx: guest.client.delete_user(ctx, "bob", "%"),
        lambda ctx: guest.client.delete_database(ctx, "shop"),
    ]
    for step in steps:
        ctx = context()
        step(ctx)
        assert guest.conductor.of(ctx).etype == ""
    assert len({report.run_id for report in guest.conductor.reports}) == len(guest.conductor.reports) == 5


def test_what_the_tenant_did_wrong_is_reported_with_its_code_and_sentence(guest: Guest) -> None:
    guest.new_agent()
    guest.prepare(databases=[{"name": "shop"}])
    wrong = {
        "database_exists": lambda ctx: guest.client.create_database(ctx, {"name": "shop"}),
        "not_found": lambda ctx: guest.client.delete_user(ctx, "nobody"),
        "bad_request": lambda ctx: guest.client.create_user(
            ctx, {"name": "a\0b", "password": "canary", "databases": []}
        ),
    }
    for code, step in wrong.items():
        ctx = context()
        step(ctx)
        report = guest.conductor.of(ctx)
        assert report.etype == code
        assert report.value["message"]
        assert "reporting.py" in report.trace
        assert "canary" not in repr(report)
    ctx = context()
    guest.client.create_database(ctx, {"name": 5})
    assert guest.conductor.of(ctx).etype == "bad_request"


def test_a_failed_prepare_is_reported_with_a_reason_for_the_tenant(guest: Guest) -> None:
    (guest.place.directory / "data").mkdir()
    (guest.place.directory / "data" / "something").touch()
    guest.new_agent()
    report = guest.prepare()
    assert report.etype == "guest_failed"
    assert "Directory not empty" in str(report.value["message"])
    guest.conductor.says("NEW")


def test_an_instance_whose_password_is_lost_says_so_and_goes_on_reporting(guest: Guest) -> None:
    guest.new_agent()
    guest.prepare()
    (guest.place.directory / "admin.secret").write_bytes(b"\xff\xfe canary")
    ctx = context()
    guest.client.create_database(ctx, {"name": "shop"})
    report = guest.conductor.of(ctx)
    assert report.etype == "guest_failed"
    assert "password of this instance is lost" in str(report.value["message"])
    assert "canary" not in repr(report)
    guest.conductor.says("ERROR")


def test_reads_answer_what_is_there(guest: Guest) -> None:
    guest.new_agent()
    user = {"name": "bob", "password": "x", "databases": [{"name": "shop"}]}
    guest.prepare(databases=[{"name": "shop"}, {"name": "other"}], users=[user])
    bob = {"name": "bob", "host": "%", "databases": [{"name": "shop"}]}
    assert guest.client.list_databases(ASK) == [{"name": "other"}, {"name": "shop"}]
    assert guest.client.list_users(ASK) == [bob]
    assert guest.client.get_user(ASK, "bob") == bob
    assert guest.client.get_user(ASK, "bob", "%") == bob
    assert guest.client.list_access(ASK, "bob") == [{"name": "shop"}]
    assert guest.client.status(ASK) == ServiceStatus.HEALTHY.value
    with pytest.raises(NotFound, match="User nobody"):
        guest.client.get_user(ASK, "nobody")
    with pytest.raises(BadRequest, match="no host"):
        guest.client.get_user(ASK, "bob", "10.0.0.1")


def test_root_can_be_enabled_and_asked_for(guest: Guest) -> None:
    guest.new_agent()
    guest.prepare()
    assert guest.client.is_root_enabled(ASK) is False
    given = guest.client.enable_root(ASK, "given secret")
    assert given == {"name": "postgres", "password": "given secret"}
    assert guest.client.is_root_enabled(ASK) is True
    log_in(guest.place, "postgres", "given secret", "postgres").close()
    assert len(str(guest.client.enable_root(ASK)["password"])) > 20


def test_without_a_run_in_the_context_the_work_is_done_silently(guest: Guest) -> None:
    guest.new_agent()
    guest.client.prepare(ASK, [], [])
    guest.conductor.says("HEALTHY")
    guest.client.create_database(ASK, {"name": "shop"})
    wait_for(lambda: guest.client.list_databases(ASK), 10, "the database")
    guest.client.create_database(ASK, {"name": "shop"})
    ctx = context()
    guest.client.create_database(ctx, {"name": "last"})
    guest.conductor.of(ctx)
    assert [report.run_id for report in guest.conductor.reports] == [
        ctx.notification and ctx.notification.run_id
    ]


def test_a_run_that_is_delivered_twice_is_done_once_and_reported_alike(guest: Guest) -> None:
    guest.new_agent()
    ctx = context("instance_create")
    for _ in range(2):
        guest.client.prepare(ctx, [{"name": "shop"}], [])
    assert guest.conductor.of(ctx).etype == ""
    again = context()
    for _ in range(2):
        guest.client.create_database(again, {"name": "more"})
        guest.conductor.of(again)
    wait_for(lambda: len(of(guest, again)) == 2, 10, "both reports")
    assert {report.etype for report in guest.conductor.reports} == {""}


def of(guest: Guest, ctx: TroveContext) -> list[object]:
    assert ctx.notification is not None
    return [report for report in guest.conductor.reports if report.run_id == ctx.notification.run_id]


def test_a_dead_server_is_told_in_heartbeats_calls_and_reports_and_comes_back_on_restart(
    guest: Guest,
) -> None:
    guest.new_agent()
    guest.prepare(databases=[{"name": "shop"}])
    kill_server(guest)
    guest.conductor.says("CRASHED")
    assert guest.client.status(ASK) == "CRASHED"
    for ask in (guest.client.list_databases, guest.client.list_users, guest.client.is_root_enabled):
        with pytest.raises(GuestFailed, match="The database server of this instance is not running"):
            ask(ASK)
    ctx = context()
    guest.client.create_database(ctx, {"name": "more"})
    assert guest.conductor.of(ctx).etype == "guest_failed"
    guest.client.restart(ASK)
    guest.conductor.says("HEALTHY")
    assert guest.client.list_databases(ASK) == [{"name": "shop"}]


def test_stop_is_told_and_is_no_crash(guest: Guest) -> None:
    agent = guest.new_agent()
    guest.prepare()
    guest.client.stop(ASK)
    guest.conductor.says("SHUTDOWN")
    agent.stop()
    now = datetime.now(UTC)
    guest.new_agent()
    guest.conductor.says("SHUTDOWN", since=now)
    guest.client.restart(ASK)
    guest.conductor.says("HEALTHY")


def test_the_server_outlives_its_agent_and_the_next_one_finds_it(guest: Guest) -> None:
    agent = guest.new_agent()
    guest.prepare(databases=[{"name": "shop"}])
    before = process.find(Layout(guest.place))
    agent.stop()
    assert threads_named(guest.place.instance_id) == []
    assert process.find(Layout(guest.place)) == before
    now = datetime.now(UTC)
    guest.new_agent()
    guest.conductor.says("HEALTHY", since=now)
    assert process.find(Layout(guest.place)) == before
    assert guest.client.list_databases(ASK) == [{"name": "shop"}]


def test_a_new_agent_starts_the_server_that_died_with_the_machine(guest: Guest) -> None:
    agent = guest.new_agent()
    guest.prepare(databases=[{"name": "shop"}])
    agent.stop()
    kill_server(guest)
    now = datetime.now(UTC)
    guest.new_agent()
    guest.conductor.says("HEALTHY", since=now)
    assert guest.client.list_databases(ASK) == [{"name": "shop"}]


def test_changes_go_one_at_a_time_and_all_of_them_arrive(guest: Guest) -> None:
    guest.new_agent()
    guest.prepare()
    names = [f"db-{uuid.uuid4()}" for _ in range(8)]
    contexts = [context() for _ in names]
    for ctx, name in zip(contexts, names, strict=True):
        guest.client.create_database(ctx, {"name": name})
    assert {guest.conductor.of(ctx).etype for ctx in contexts} == {""}
    assert guest.client.list_databases(ASK) == [{"name": name} for name in sorted(names)]
