"""coffer as the sample configuration deploys it: TLS to everything, quorum queues, two brokers, log lines in JSON.

Each service is asked to stop while it works: what it does is held up by a lock in a database, or by an agent that is
stopped.
"""

import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from oslo_config import cfg
from tests.support.authority import Authority
from tests.support.deployment import UNTOLD, Deployment, Service
from tests.support.messaging import messaging_conf
from tests.support.queues import channel, left_in
from tests.support.secured import Secured, TlsNode, secured_deployment
from tests.support.stopping import (
    DONE_S,
    asked_to_stop,
    held,
    mismatches,
    start_where_the_queue_is_another,
    stopped,
    wait_until_claimed,
    wait_until_held_up,
)
from tests.support.waiting import wait_for

from coffer.store import migrate
from coffer.store.errors import StoreUnavailable
from coffer.wire import transport
from coffer.wire.amqp_link import AmqpLink
from coffer.wire.delivery import NotDeliveredError
from coffer.wire.publisher import BrokerUnavailable

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgresql]

ENDING_WAITS: LiteralString = "select 1 from outbox where event_type = 'dbaas.database_create.end'"


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    with secured_deployment() as made:
        made.coffer.mend()
        yield made


@pytest.fixture
def coffer(secured: Secured) -> Deployment:
    secured.rpc.revive()
    secured.notifications.revive()
    secured.coffer.mend()
    return secured.coffer


@pytest.fixture(scope="module")
def books(secured: Secured) -> str:
    return secured.coffer.tenant().create_active()


def health(coffer: Deployment, method: str = "GET") -> tuple[int, Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", coffer.port, timeout=10)) as connection:
        connection.request(method, "/healthz")
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if body else None


def test_everything_is_announced_over_tls_and_guests_stay_away_from_the_notifications(
    secured: Secured, coffer: Deployment, books: str
) -> None:
    tenant = coffer.tenant()
    tenant.api.databases.create(books, [{"name": "orders"}])
    coffer.events()  # the order is that of the calls where each waits for the end of the one before
    tenant.api.instances.restart(books)
    tenant.wait_for(books, "ACTIVE")

    ended = [event["event_type"] for event in coffer.events() if event["event_type"].endswith(".end")]
    assert ended == ["dbaas.instance_create.end", "dbaas.database_create.end", "dbaas.instance_restart.end"]
    queues = dict(
        line.split("\t") for line in secured.rpc.control("list_queues", "name", "type").splitlines()[1:]
    )
    assert {queues[name] for name in ("trove-taskmanager", "trove-conductor", f"guestagent.{books}")} == {
        "quorum"
    }
    queues = dict(
        line.split("\t")
        for line in secured.notifications.control("list_queues", "name", "durable").splitlines()[1:]
    )
    assert queues["notifications.info"] == "true"
    assert set(queues) == {"notifications.info", "notifications.error", "coffer-collector"}
    found = secured.notifications.control("list_connections", "client_properties", "ssl")
    assert found.count("coffer-relay") == found.count("coffer-collector") == 1
    assert len(found.splitlines()) == 1 + 2
    assert "false" not in found


def test_all_is_well_and_said_so(coffer: Deployment) -> None:
    assert health(coffer) == (
        HTTPStatus.OK,
        {"status": "ok", "checks": {"database": {"status": "ok"}, "broker": {"status": "ok"}}},
    )
    assert health(coffer, "HEAD") == (HTTPStatus.OK, None)
    said = json.loads(coffer.run("status", "--format", "json"))
    assert said["problems"] == []
    kinds = [service["kind"] for service in said["services"] if service["is_alive"]]
    assert kinds == ["api", "api", "collector", "conductor", "relay", "taskmanager"]


def test_each_log_line_is_a_json_object_that_names_its_request_and_its_run(
    coffer: Deployment, books: str
) -> None:
    coffer.tenant().api.databases.create(books, [{"name": "logged"}])
    (start, end) = [event for event in coffer.events() if event["payload"].get("dbname") == "logged"]
    lines = [json.loads(line) for service in coffer.services for line in service.text().splitlines()]
    assert all(line["levelname"] and line["message"] for line in lines)
    (ended,) = [line for line in lines if f"run ended run_id={end['payload']['run_id']}" in line["message"]]
    assert ended["context"]["request_id"] == start["payload"]["request_id"]
    assert ended["context"]["notification"] == {
        "run_id": end["payload"]["run_id"],
        "operation": "database_create",
    }
    # One thread serves many requests; a line without a request of its own names none that is over.
    asked = [line for line in lines if line["message"].startswith("request method=GET path='/healthz'")]
    assert asked
    assert all(line["message"].endswith(line["context"]["request_id"]) for line in asked)


def trusting(node: TlsNode, ca_file: Path, *, hosts: Sequence[str]) -> cfg.ConfigOpts:
    """Return a configuration that reaches a node by TLS under one of these names and ports."""
    user = f"{node.user}:{node.password}"
    return messaging_conf(
        f"rabbit://{','.join(f'{user}@{host}' for host in hosts)}/",
        rpc_cast_timeout_s=2.0,
        oslo_messaging_rabbit__ssl=True,
        oslo_messaging_rabbit__ssl_ca_file=str(ca_file),
    )


def test_a_server_with_a_certificate_of_another_authority_or_for_another_name_is_not_talked_to(
    secured: Secured, tmp_path: Path
) -> None:
    stranger, trusted = Authority(tmp_path / "stranger").ca_file, secured.authority.ca_file
    node = secured.rpc
    # The same address by another name, which the certificate does not have.
    named, misnamed = f"127.0.0.1:{node.tls_port}", f"127.1:{node.tls_port}"
    for conf in (trusting(node, stranger, hosts=[named]), trusting(node, trusted, hosts=[misnamed])):
        with pytest.raises(BrokerUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            AmqpLink(transport.oslo().rpc_amqp_settings(conf), name="test")
        with closing(transport.rpc_transport(conf)) as rpc, pytest.raises(NotDeliveredError):
            rpc.send("trove-taskmanager", None, {}, {"method": "none", "args": {}, "version": "1.0"})
    conf = trusting(node, trusted, hosts=[misnamed, named])
    AmqpLink(transport.oslo().rpc_amqp_settings(conf), name="test").close()
    for _ in range(6):  # which one is tried first is left to chance
        with closing(transport.rpc_transport(conf)) as rpc:
            rpc.declare("nobody", "test")
    database_url = secured.coffer.database_url
    assert migrate.is_current(database_url)
    with pytest.raises(StoreUnavailable):
        migrate.is_current(database_url.replace(str(trusted), str(stranger)))


# --- SIGTERM in the middle of work ----------------------------------------------------------------


def endings(coffer: Deployment, operation: str) -> list[tuple[str, str]]:
    """Return how each run of an operation ended, and who said so."""
    return [
        (event["event_type"].rpartition(".")[2], event["payload"]["server_type"])
        for event in coffer.events()
        if event["event_type"].startswith(f"dbaas.{operation}.")
        and not event["event_type"].endswith(".start")
    ]


def test_an_api_that_is_asked_to_stop_answers_the_calls_that_it_has_begun(
    coffer: Deployment, books: str
) -> None:
    (api,) = coffer.of("api")
    answers: list[int] = []

    def create() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", coffer.port, timeout=DONE_S)) as connection:
            connection.request(
                "POST",
                f"/v1.0/acme/instances/{books}/databases",
                json.dumps({"databases": [{"name": "late"}]}),
                {"Content-Type": "application/json"},
            )
            answers.append(connection.getresponse().status)

    with held(coffer.database_url, "runs") as lock:
        call = threading.Thread(target=create)
        call.start()
        wait_until_held_up(coffer.database_url)
        os.kill(api.pid, signal.SIGTERM)
        wait_for(lambda: not coffer.answers(), DONE_S, "the API to take no more calls")
        assert api.is_alive
        assert answers == []
        lock.commit()
        call.join(DONE_S)
    assert answers == [HTTPStatus.ACCEPTED]
    assert stopped(api) == 0
    assert coffer.rows("select 1 from services where kind = 'api'") == []


def test_a_taskmanager_that_is_asked_to_stop_finishes_its_task(coffer: Deployment, books: str) -> None:
    tenant = coffer.tenant()
    before = endings(coffer, "instance_restart")
    (taskmanager,) = coffer.of("taskmanager")
    agent = coffer.agent_pid(books)
    os.kill(agent, signal.SIGSTOP)
    try:
        tenant.api.instances.restart(books)
        wait_until_claimed(coffer)
        asked_to_stop(taskmanager)
    finally:
        os.kill(agent, signal.SIGCONT)
    assert stopped(taskmanager) == 0
    assert coffer.rows("select 1 from services where kind = 'taskmanager'") == []
    assert endings(coffer, "instance_restart") == [*before, ("end", "task")]


def test_what_a_taskmanager_cannot_finish_in_time_another_one_does(coffer: Deployment, books: str) -> None:
    hasty = coffer.root / "hasty.conf"
    hasty.write_text("[DEFAULT]\ngraceful_shutdown_timeout = 0.5\n")
    for service in coffer.of("taskmanager"):
        assert service.terminate()[0] == 0
    both = [coffer.start("taskmanager", config_files=[hasty]) for _ in range(2)]
    wait_for(
        lambda: len(coffer.rows("select 1 from services where kind = 'taskmanager'")) == 2, DONE_S, "both"
    )
    agent = coffer.agent_pid(books)
    os.kill(agent, signal.SIGSTOP)
    try:
        coffer.tenant().api.instances.resize_volume(books, 2)
        pid = wait_until_claimed(coffer)
        (leaving,) = [service for service in both if service.pid == pid]
        (staying,) = [service for service in both if service.pid != pid]
        asked_to_stop(leaving)
        assert stopped(leaving) == 0
        wait_for(lambda: wait_until_claimed(coffer) == staying.pid, DONE_S, "the other to go on")
    finally:
        os.kill(agent, signal.SIGCONT)
    coffer.tenant().wait_for(books, "ACTIVE")
    assert endings(coffer, "instance_resize_volume") == [("end", "task")]
    assert "run resumed" in leaving.text()


def test_a_conductor_that_is_asked_to_stop_ends_the_run_that_it_was_told_of(
    coffer: Deployment, books: str
) -> None:
    tenant = coffer.tenant()
    (conductor,) = coffer.of("conductor")
    root = tenant.api.root.create(books)
    with (
        tenant.log_in(books, database="postgres", user=root[0], password=root[1]) as session,
        session.transaction(),
    ):
        session.execute("lock table pg_authid in share mode")
        tenant.api.users.create(books, [{"name": "dave", "password": "secret", "databases": []}])
        lock = psycopg.connect(coffer.database_url)
        lock.execute("lock table runs in share mode")
        # The agent can finish now, and what it reports the conductor cannot write yet.
    with lock:
        wait_until_held_up(coffer.database_url)
        asked_to_stop(conductor)
    assert stopped(conductor) == 0
    assert coffer.rows("select ending from runs where operation = 'user_create'") == [("end",)]


def test_a_relay_that_is_asked_to_stop_finishes_its_batch_and_gives_its_lease_back(
    secured: Secured, coffer: Deployment, books: str
) -> None:
    (relay,) = coffer.of("relay")
    coffer.events()
    os.kill(relay.pid, signal.SIGSTOP)
    coffer.tenant().api.databases.create(books, [{"name": "carried"}])
    wait_for(lambda: coffer.rows("select 1 from outbox having count(*) = 2"), DONE_S, "the events")
    with held(coffer.database_url, "outbox"):
        os.kill(relay.pid, signal.SIGCONT)
        wait_until_held_up(coffer.database_url)
        asked_to_stop(relay)
    assert stopped(relay) == 0
    assert coffer.rows("select 1 from outbox") == []
    assert coffer.rows("select 1 from leases where name = 'relay'") == []
    assert coffer.rows("select 1 from services where kind = 'relay'") == []


def test_a_collector_that_is_asked_to_stop_stores_and_acknowledges_what_it_has(
    secured: Secured, coffer: Deployment, books: str
) -> None:
    (collector,) = coffer.of("collector")
    coffer.events()
    with held(coffer.collector_url, "events"):
        coffer.tenant().api.databases.create(books, [{"name": "kept"}])
        wait_until_held_up(coffer.collector_url)
        wait_for(lambda: coffer.rows(UNTOLD) == [(0,)], DONE_S, "both events to be at the broker")
        asked_to_stop(collector)
    assert stopped(collector) == 0
    with psycopg.connect(coffer.collector_url) as connection:
        stored = connection.execute(
            "select count(*) from events where payload::text like '%\"kept\"%'"
        ).fetchone()
    assert stored is not None
    assert stored[0] + left_in(secured.notifications, "coffer-collector") == 2
    assert stored[0] > 0


# --- SIGHUP ---------------------------------------------------------------------------------------


def test_a_service_that_is_hung_up_reads_its_configuration_again(coffer: Deployment) -> None:
    (relay,) = coffer.of("relay")
    (api,) = coffer.of("api")
    workers = coffer.rows("select pid from services where kind = 'api' order by pid")
    kept = coffer.config_file.read_text()
    try:
        with coffer.config_file.open("a") as settings:
            settings.write("[api]\nworkers = none\n")
        for service in (relay, api):
            os.kill(service.pid, signal.SIGHUP)
            wait_for(
                partial(said, service, "configuration not read again"), DONE_S, f"{service.kind} to complain"
            )
        coffer.config_file.write_text(kept + "[DEFAULT]\ndebug = true\n")
        for service in (relay, api):
            os.kill(service.pid, signal.SIGHUP)
            wait_for(partial(said, service, "debug lines are on"), DONE_S, f"{service.kind} to hear")
            assert "configuration read again" in service.text()
        wait_for(
            lambda: (
                len(now := coffer.rows("select pid from services where kind = 'api' order by pid")) == 2
                and not set(now) & set(workers)
            ),
            DONE_S,
            "new workers in the place of the old",
        )
        assert health(coffer)[0] == HTTPStatus.OK
    finally:
        coffer.config_file.write_text(kept)
    assert relay.is_alive


def said(service: Service, words: str) -> bool:
    return words in service.text()


# --- a broker that has something declared otherwise -----------------------------------------------


def test_queues_that_were_declared_otherwise_are_named_and_nothing_is_lost(
    secured: Secured, coffer: Deployment, books: str
) -> None:
    coffer.events()
    rpc, notifications = secured.rpc, secured.notifications
    taken = [
        (notifications, "relay", "notifications.info", False),
        (notifications, "collector", "coffer-collector", False),
        (rpc, "taskmanager", "trove-taskmanager", True),
        (rpc, "conductor", "trove-conductor", True),
    ]
    started = []
    for node, kind, queue, durable in taken:
        if kind == "conductor":  # without one no guest can answer, so this call goes before
            coffer.tenant().api.databases.create(books, [{"name": "patient"}])
            wait_for(partial(coffer.rows, ENDING_WAITS), DONE_S, "the run to end")
        started.append(start_where_the_queue_is_another(coffer, node, kind, queue, durable=durable))
    for service, (_, _, queue, _) in zip(started, taken, strict=True):
        wait_for(partial(said, service, f"The queue {queue} exists"), DONE_S, f"{service.kind} to say it")
    wait_for(lambda: len(mismatches(coffer)) == 4, DONE_S, "coffer status to name all four", poll_s=0.5)
    for said_of_it in mismatches(coffer):
        assert "[oslo_messaging_rabbit]" in said_of_it
        assert "delete the queue" in said_of_it
    assert coffer.rows("select count(*) from outbox") == [(2,)]

    for node, _, queue, _ in taken:
        with channel(node) as opened:
            opened.queue_delete(queue)
    names = [event["payload"].get("dbname") for event in coffer.events()]
    assert names.count("patient") == 2
    wait_for(lambda: not mismatches(coffer), DONE_S, "coffer status to be content", poll_s=0.5)
    coffer.tenant().api.instances.restart(books)
    coffer.tenant().wait_for(books, "ACTIVE")
    for service in started:
        assert service.text().count('"message": "broker mismatch: ') == 1
