"""Replication through the agents of a source and its replica: what is asked by RPC, done on real servers, reported."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.functional.guestagent.conftest import Guest, context
from tests.support.instances import new_place
from tests.support.ports import free_port
from tests.support.tenants import log_in, write_and_read
from tests.support.waiting import wait_for

from coffer.catalogue.errors import BadRequest, GuestFailed
from coffer.datastores.postgresql import process
from coffer.datastores.postgresql.driver import PostgresqlDriver
from coffer.datastores.postgresql.layout import Layout
from coffer.datastores.postgresql.server import Patience
from coffer.guestagent.agent import GuestAgent
from coffer.guestagent.work import PATIENCE_S
from coffer.wire.conductor_client import ConductorClient
from coffer.wire.context import TroveContext
from coffer.wire.contracts import GUEST_SERVER, guest_contract
from coffer.wire.guest_client import GuestClient
from coffer.wire.rpc import RpcClient

ASK = TroveContext(project_id="p1", overwrite=False)
BOB = {"name": "bob", "password": "bob's", "host": "%", "databases": [{"name": "shop"}]}


@dataclass(frozen=True)
class Pair:
    """A prepared source, and an instance that could become its replica; the agents of both run."""

    source: Guest
    replica: Guest

    @property
    def replica_id(self) -> str:
        return self.replica.place.instance_id

    def replicate(self, **changes: Any) -> Any:
        """Make the replica; return the report."""
        source = {**self.source.client.admit_replica(ASK, self.replica_id), **changes}
        ctx = context("instance_create")
        self.replica.client.replicate(ctx, source, configuration={"work_mem": "2048"})
        return self.replica.conductor.of(ctx)


@pytest.fixture
def pair(guest: Guest, scratch_dir: Path) -> Iterator[Pair]:
    guest.new_agent()
    assert guest.prepare(databases=[{"name": "shop"}], users=[BOB]).etype == ""
    place = new_place(scratch_dir, port=free_port())
    patience = Patience(start_s=30, fast_stop_s=5, immediate_stop_s=2)
    with ExitStack() as stack:
        driver = PostgresqlDriver(place, patience)
        stack.callback(driver.stop)

        def new_agent() -> GuestAgent:
            agent = GuestAgent(
                instance_id=place.instance_id,
                guest_dir=place.directory,
                driver=PostgresqlDriver(place, patience),
                conductor=ConductorClient(guest.transport),
                transport=guest.transport,
                report_interval_s=0.5,
            )
            agent.start()
            stack.callback(agent.stop)
            return agent

        client = GuestClient(guest.transport, place.instance_id)
        yield Pair(guest, Guest(place, driver, client, guest.conductor, new_agent, guest.transport))


def raw_call(guest: Guest, method: str, **args: Any) -> Any:
    contract = guest_contract(guest.place.instance_id)
    client = RpcClient(
        guest.transport, topic=contract.topic, server=GUEST_SERVER, version="1.0", service="guest"
    )
    return client.call(ASK, method, timeout_s=30, **args)


def role_of(guest: Guest) -> Any:
    return guest.client.replication(ASK)["role"]


def test_a_replica_is_made_and_takes_the_place_of_its_source(pair: Pair) -> None:
    pair.replica.new_agent()
    assert pair.replicate().etype == ""
    state = pair.replica.client.replication(ASK)
    assert (state["role"], state["is_streaming"]) == ("replica", True)
    assert isinstance(state["lsn"], int)
    assert state["lsn"] > 0
    assert pair.replica.client.status(ASK) == "HEALTHY"
    assert pair.replica.client.list_databases(ASK) == [{"name": "shop"}]
    with log_in(pair.replica.place, "bob", "bob's", "shop") as session:
        assert session.execute("show work_mem").fetchone() == ("2MB",)

    lsn = pair.source.client.demote(ASK)
    assert lsn > 0
    assert pair.source.client.status(ASK) == "SHUTDOWN"
    pair.replica.client.promote(ASK, lsn)
    pair.source.client.follow(ASK, pair.replica.client.admit_replica(ASK, pair.source.place.instance_id))
    assert (role_of(pair.source), role_of(pair.replica)) == ("replica", "source")
    write_and_read(pair.replica.place, "bob", "bob's", "shop")

    pair.source.client.detach(ASK)
    assert pair.replica.client.replication(ASK)["admitted"] == [pair.source.place.instance_id]
    pair.replica.client.dismiss_replica(ASK, pair.source.place.instance_id)
    assert pair.replica.client.replication(ASK)["admitted"] == []
    assert (role_of(pair.source), role_of(pair.replica)) == ("source", "source")


def test_a_server_that_is_being_brought_back_is_demoted_as_well(guest: Guest) -> None:
    agent = guest.new_agent()
    assert guest.prepare().etype == ""
    agent.stop()
    found = process.find(Layout(guest.place))
    assert found is not None
    os.kill(found.pid, signal.SIGSTOP)
    asked: list[int] = []
    asking = threading.Thread(target=lambda: asked.append(guest.client.demote(ASK)))
    try:
        guest.new_agent()
        guest.conductor.says("SHUTDOWN")
        asking.start()
        asking.join(PATIENCE_S + 2)
        assert asking.is_alive()
    finally:
        os.kill(found.pid, signal.SIGCONT)
    asking.join(30)
    assert len(asked) == 1
    assert guest.client.status(ASK) == "SHUTDOWN"
    assert process.find(Layout(guest.place)) is None


def test_an_agent_finds_the_replica_of_the_one_before(pair: Pair) -> None:
    agent = pair.replica.new_agent()
    assert pair.replicate().etype == ""
    agent.stop()
    pair.replica.driver.stop()
    (pair.replica.place.directory / "stopped").unlink()  # it went down with its machine
    pair.replica.new_agent()
    wait_for(lambda: pair.replica.driver.status() == "HEALTHY", 30, "the replica")
    assert role_of(pair.replica) == "replica"
    wait_for(lambda: pair.replica.client.replication(ASK)["is_streaming"], 30, "the stream")


def test_a_replica_that_is_not_let_in_is_reported_without_secrets(pair: Pair) -> None:
    pair.replica.new_agent()
    report = pair.replicate(password="wrong one")
    assert report.etype == "guest_failed"
    assert "does not let this replica in" in str(report.value)
    assert "wrong one" not in f"{report.value}{report.trace}"
    assert not pair.replica.driver.is_prepared()
    assert pair.replicate().etype == ""


def test_a_task_that_waits_for_its_agent_is_done_when_it_comes(pair: Pair) -> None:
    source = pair.source.client.admit_replica(ASK, pair.replica_id)
    ctx = context("instance_create")
    pair.replica.client.replicate(ctx, source)
    pair.replica.new_agent()
    assert pair.replica.conductor.of(ctx).etype == ""


def test_an_agent_that_stops_in_the_middle_reports_it_and_keeps_no_secret(pair: Pair) -> None:
    agent = pair.replica.new_agent()
    source = pair.source.client.admit_replica(ASK, pair.replica_id)
    ctx = context("instance_create")
    pair.replica.client.replicate(ctx, source)
    wait_for((pair.replica.place.directory / "data.new").exists, 30, "the copy's beginning")
    for path in (pair.replica.place.directory / "journal").iterdir():
        assert str(source["password"]) not in path.read_text()
        assert str(source["administrator_password"]) not in path.read_text()
    agent.stop()
    report = pair.replica.conductor.of(ctx)
    assert report.etype in {"", "guest_failed"}  # it may have been faster than we


LATE: list[tuple[str, Callable[[Pair], dict[str, Any]]]] = [
    ("admit_replica", lambda pair: {"replica_id": pair.replica_id}),
    ("dismiss_replica", lambda pair: {"replica_id": pair.replica_id}),
    ("follow", lambda pair: {"source": pair.source.client.admit_replica(ASK, pair.replica_id)}),
    ("demote", lambda _: {}),
    ("promote", lambda _: {"lsn": 5}),
    ("detach", lambda _: {}),
]


def test_an_order_that_nobody_waits_for_any_more_changes_nothing(pair: Pair) -> None:
    until = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    for method, args in LATE:
        with pytest.raises(GuestFailed, match="too late"):
            raw_call(pair.source, method, until=until, **args(pair))
    assert pair.source.client.status(ASK) == "HEALTHY"
    assert role_of(pair.source) == "source"


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("admit_replica", {"replica_id": "x"}),
    ("admit_replica", {"replica_id": 7}),
    ("follow", {"source": "x"}),
    ("follow", {"source": {}}),
    ("follow", {"source": {"address": "a", "port": "5", "user": "u", "password": "p", "slot": "s"}}),
    ("promote", {"lsn": "0/5"}),
    ("promote", {"lsn": True}),
    ("promote", {"lsn": -1}),
    ("demote", {"until": "soon"}),
]


def test_an_order_that_makes_no_sense_is_refused(pair: Pair) -> None:
    for method, args in WRONG:
        with pytest.raises(BadRequest):
            raw_call(pair.source, method, **args)
    assert pair.source.client.status(ASK) == "HEALTHY"
