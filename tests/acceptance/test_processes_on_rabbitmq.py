"""coffer as separate processes: one configuration file, RabbitMQ between them, PostgreSQL below them.

The local cloud gives each instance a guest agent that is a process of its own. Whatever is killed here is killed with
SIGKILL and without a warning.
"""

import http.client
import json
import os
import re
import signal
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http import HTTPStatus
from typing import Any, LiteralString

import pytest
from tests.support.deployment import UNTOLD, Deployment, Service, deployment
from tests.support.held import backups_held_up
from tests.support.processes import about, environment, is_running
from tests.support.queues import delete_queue
from tests.support.rabbitmq import RabbitNode
from tests.support.trove import Refused
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgresql]

COLLECTOR_QUEUE = "coffer-collector"
TAKEN_OVER_S = 40.0
JSON = {"Content-Type": "application/json"}
STOPPED_S = 15.0
"""More than the 10 s that are given to work under way; none is."""


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Deployment, RabbitNode]]:
    with deployment() as (made, node):
        made.mend()
        yield made, node


@pytest.fixture(scope="module")
def installed(both: tuple[Deployment, RabbitNode]) -> Deployment:
    return both[0]


@pytest.fixture
def broker(both: tuple[Deployment, RabbitNode]) -> RabbitNode:
    return both[1]


@pytest.fixture
def coffer(both: tuple[Deployment, RabbitNode]) -> Deployment:
    """One service of each kind, and the broker."""
    made, node = both
    node.revive()
    made.mend()
    return made


@pytest.fixture(scope="module")
def books(installed: Deployment) -> str:
    """An instance that serves, for the tests that leave it as it is."""
    return installed.tenant().create_active()


def runs_of(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the announcements of each run; of all of them, since each must begin once and end once."""
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event["event_type"].startswith("dbaas."):
            runs[event["payload"]["run_id"]].append(event)
    for run in runs.values():
        phases = [event["event_type"].rpartition(".")[2] for event in run]
        assert phases in (["start", "end"], ["start", "error"]), run
    return runs


def endings(events: list[dict[str, Any]], instance_id: str) -> list[tuple[str, str, str]]:
    """Return the operation, the phase and the server type of each ending of an instance, in order."""
    return [
        (operation, phase, event["payload"]["server_type"])
        for event in events
        if event["payload"].get("instance_id") == instance_id and event["event_type"].startswith("dbaas.")
        for _, operation, phase in [event["event_type"].split(".")]
        if phase != "start"
    ]


def test_an_instance_is_made_used_and_removed_by_processes_that_know_each_other_by_messages_only(
    coffer: Deployment,
) -> None:
    tenant = coffer.tenant()
    instance_id = tenant.create(databases=["shop"], users={"alice": "wonder land"})
    tenant.wait_for(instance_id, "ACTIVE")
    agent = coffer.agent_pid(instance_id)
    assert is_running(agent)
    with tenant.log_in(instance_id, database="shop", user="alice", password="wonder land") as session:
        session.execute("create table sales (n int)")
    tenant.api.databases.create(instance_id, [{"name": "orders"}, {"name": "stock"}])
    tenant.api.users.create(
        instance_id, [{"name": "bob", "password": "builder", "databases": [{"name": "orders"}]}]
    )
    coffer.events()
    with tenant.log_in(instance_id, database="orders", user="bob", password="builder") as session:
        assert session.execute("select current_user").fetchone() == ("bob",)
    tenant.api.instances.restart(instance_id)
    tenant.wait_for(instance_id, "ACTIVE")
    tenant.api.instances.delete(instance_id)
    tenant.wait_until_gone(instance_id)

    events = coffer.events()
    runs_of(events)
    assert Counter(endings(events, instance_id)) == {
        ("instance_create", "end", "conductor"): 1,
        ("database_create", "end", "conductor"): 2,
        ("user_create", "end", "conductor"): 1,
        ("instance_restart", "end", "task"): 1,
        ("instance_delete", "end", "task"): 1,
    }
    mine = [event for event in events if event["payload"].get("instance_id") == instance_id]
    starts = [event["payload"] for event in mine if event["event_type"].endswith(".start")]
    assert {payload["server_type"] for payload in starts} == {"api"}
    assert {payload["server_ip"] for payload in starts} == {f"127.0.0.1:{coffer.port}"}
    assert all(re.fullmatch(r"127\.0\.0\.1:[1-9]\d+", payload["client_ip"]) for payload in starts)
    facts = [event["event_type"] for event in mine if event["event_type"].startswith("trove.")]
    assert facts == ["trove.instance.create", "trove.instance.delete"]
    assert not coffer.guest_dir(instance_id).exists()
    assert about(coffer.guest_dir(instance_id)) == []
    assert not is_running(agent)
    assert "wonder land" not in json.dumps(events)


def test_no_secret_stands_in_a_log_or_in_the_arguments_or_the_environment_of_a_process(
    coffer: Deployment, books: str
) -> None:
    password = "canary-4711"
    coffer.tenant().api.users.create(books, [{"name": "carol", "password": password, "databases": []}])
    broker = coffer.transport_url.split(":")[2].split("@")[0]
    database = coffer.database_url.split(":")[2].split("@")[0]
    texts = [service.text() for service in coffer.services]
    texts += [path.read_text(errors="replace") for path in coffer.guest_dir(books).glob("*.log")]
    for process in about(coffer.root):
        texts.append(process.arguments)
        texts.append(environment(process.pid))
    texts.append(json.dumps(coffer.events()))
    for secret in (password, broker, database):
        assert [text for text in texts if secret in text] == []


def test_a_run_in_a_guest_agent_that_is_killed_ends_when_the_next_agent_starts(
    coffer: Deployment, books: str
) -> None:
    tenant = coffer.tenant()
    root = tenant.api.root.create(books)
    with (
        tenant.log_in(books, database="postgres", user=root[0], password=root[1]) as session,
        session.transaction(),
    ):
        # Nobody can be created while this transaction lasts, so the agent is in the middle of it.
        session.execute("lock table pg_authid in share mode")
        tenant.api.users.create(books, [{"name": "dave", "password": "secret", "databases": []}])
        journal = coffer.guest_dir(books) / "journal"
        wait_for(lambda: list(journal.glob("*.json")), TAKEN_OVER_S, "the agent to take the run")
        killed = coffer.agent_pid(books)
        os.kill(killed, signal.SIGKILL)
    events = coffer.events()
    (run,) = [run for run in runs_of(events).values() if run[0]["payload"].get("username") == "dave"]
    error = run[1]
    assert error["event_type"] == "dbaas.user_create.error"
    payload = error["payload"]
    print(payload)
    assert (payload["server_type"], payload["error_code"], payload["fault"]) == (
        "conductor",
        "guest_failed",
        "system",
    )
    assert payload["message"] == "The guest agent stopped in the middle of user_create."
    assert payload["duration_s"] < TAKEN_OVER_S
    assert coffer.agent_pid(books) != killed
    tenant.api.users.create(books, [{"name": "erin", "password": "secret", "databases": []}])
    assert endings(coffer.events(), books)[-1] == ("user_create", "end", "conductor")


def test_a_backup_in_a_guest_agent_that_is_killed_fails_and_leaves_nothing_behind(
    coffer: Deployment, books: str
) -> None:
    tenant = coffer.tenant()
    with backups_held_up(coffer.guest_dir(books)):
        backup_id = tenant.api.backups.create("nightly", books).id
        folder = coffer.root / "cloud" / "backups" / backup_id
        wait_for(lambda: any(folder.glob(".*")), TAKEN_OVER_S, "the archive to be begun")
        os.kill(coffer.agent_pid(books), signal.SIGKILL)
        tenant.wait_for(books, "ACTIVE")
    (run,) = [run for run in runs_of(coffer.events()).values() if "backup_id" in run[1]["payload"]]
    payload = run[1]["payload"]
    assert run[1]["event_type"] == "dbaas.backup_create.error"
    assert (payload["server_type"], payload["error_code"], payload["fault"]) == (
        "conductor",
        "guest_failed",
        "system",
    )
    backup = tenant.api.backups.get(backup_id)
    assert (backup.status, backup.fault["message"]) == ("FAILED", payload["message"])
    assert "fault" not in tenant.show(books)
    assert not folder.exists()
    again = tenant.api.backups.create("nightly", books).id
    wait_for(lambda: tenant.api.backups.get(again).status == "COMPLETED", TAKEN_OVER_S, "another backup")


def test_another_taskmanager_completes_the_deletion_that_a_killed_one_began(coffer: Deployment) -> None:
    tenant = coffer.tenant()
    instance_id = tenant.create_active()
    coffer.start("taskmanager")
    wait_for(
        lambda: len(coffer.rows("select 1 from services where kind = 'taskmanager'")) >= 2,
        TAKEN_OVER_S,
        "both",
    )
    agent = coffer.agent_pid(instance_id)
    os.kill(agent, signal.SIGSTOP)  # it does not stop when it is asked, so the deletion takes its time
    tenant.api.instances.delete(instance_id)
    claimed: LiteralString = (
        "select s.pid from runs r join services s on s.id = r.claimed_by"
        " where r.operation = 'instance_delete' and r.ended_at is null"
    )
    ((pid,),) = wait_for(lambda: coffer.rows(claimed), TAKEN_OVER_S, "a taskmanager to begin")
    (working,) = [service for service in coffer.of("taskmanager") if service.pid == pid]
    working.kill()
    os.kill(agent, signal.SIGCONT)
    assert coffer.guest_dir(instance_id).exists(), "it was killed too late"
    tenant.wait_until_gone(instance_id)
    events = coffer.events()
    runs_of(events)
    assert endings(events, instance_id) == [
        ("instance_create", "end", "conductor"),
        ("instance_delete", "end", "task"),
    ]
    facts = [event["event_type"] for event in events if event["payload"].get("instance_id") == instance_id]
    assert facts.count("trove.instance.delete") == 1
    assert not coffer.guest_dir(instance_id).exists()
    assert about(coffer.guest_dir(instance_id)) == []


def test_of_two_relays_one_is_active_and_the_other_takes_over(coffer: Deployment, books: str) -> None:
    (first,) = coffer.of("relay")
    second = coffer.start("relay")
    holders = [
        wait_for(partial(holder_of, relay), TAKEN_OVER_S, "both to start") for relay in (first, second)
    ]
    assert active_relay(coffer) == holders[0]
    first.kill()
    coffer.tenant().api.databases.create(books, [{"name": "carried"}])
    wait_for(lambda: active_relay(coffer) == holders[1], TAKEN_OVER_S, "the second relay to take over")
    events = coffer.events()
    runs_of(events)
    assert endings(events, books)[-1] == ("database_create", "end", "conductor")
    assert second.is_alive


def test_a_collector_whose_queue_the_relay_declares_misses_nothing_before_it_comes(
    coffer: Deployment, broker: RabbitNode, books: str
) -> None:
    coffer.events()
    for kind in ("collector", "relay"):
        (service,) = coffer.of(kind)
        service.kill()
    delete_queue(broker, COLLECTOR_QUEUE)
    coffer.start("relay")
    coffer.tenant().api.databases.create(books, [{"name": "early"}])
    wait_for(lambda: coffer.rows(UNTOLD) == [(0,)], TAKEN_OVER_S, "the run to end and to be told")
    coffer.start("collector")
    early = [event["event_type"] for event in coffer.events() if "early" in json.dumps(event["payload"])]
    assert early == ["dbaas.database_create.start", "dbaas.database_create.end"]


def test_after_an_outage_of_the_broker_everybody_finds_each_other_again(
    coffer: Deployment, broker: RabbitNode, books: str
) -> None:
    tenant = coffer.tenant()
    broker.kill()
    with pytest.raises(Refused) as refused:
        tenant.api.instances.restart(books)
    assert refused.value.http_status == HTTPStatus.SERVICE_UNAVAILABLE
    assert tenant.show(books)["status"] == "ACTIVE"
    broker.start()

    def made() -> bool:
        try:
            tenant.api.databases.create(books, [{"name": "afterwards"}])
        except Refused:
            return False  # the guest is not back yet; each attempt is a run that ends as an error
        return True

    wait_for(made, TAKEN_OVER_S, "the guest to be reached again")
    tenant.api.instances.restart(books)
    tenant.wait_for(books, "ACTIVE")
    events = coffer.events()
    runs_of(events)
    found = endings(events, books)
    assert ("instance_restart", "error", "api") in found
    # Not in this order: the conductor may hear of the database after the restart has ended.
    assert ("database_create", "end", "conductor") in found
    assert ("instance_restart", "end", "task") in found
    codes = [
        event["payload"]["error_code"]
        for event in events
        if event["event_type"] == "dbaas.instance_restart.error"
    ]
    assert codes == ["dispatch_failed"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("GET", "/v1.0/acme/instances", {}, b"", HTTPStatus.OK),
        ("HEAD", "/", {}, b"", HTTPStatus.METHOD_NOT_ALLOWED),
        ("GET", "/v1.0/acme/instances/%ff%00%2e%2e%2f", {}, b"", HTTPStatus.NOT_FOUND),
        ("GET", "/v1.0/acme/instances?limit=%ff", {}, b"", HTTPStatus.BAD_REQUEST),
        ("GET", "/v1.0/acme/instances", {"Host": "evil.example"}, b"", HTTPStatus.FORBIDDEN),
        ("GET", "/v1.0/acme/instances", {"X_User_Id": "a b"}, b"", HTTPStatus.OK),
        (
            "POST",
            "/v1.0/acme/instances",
            {"Content-Type": "application/json"},
            b"{" * 10,
            HTTPStatus.BAD_REQUEST,
        ),
        (
            "POST",
            "/v1.0/acme/instances",
            {"Content-Type": "application/json"},
            b" " * 10**7,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        ),
    ],
)
def test_the_workers_answer_strange_requests_as_the_standalone_server_does(
    coffer: Deployment, method: str, path: str, headers: dict[str, str], body: bytes, status: HTTPStatus
) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", coffer.port, timeout=30)) as connection:
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        said = answer.read()
    assert answer.status == status, said
    assert answer.headers["x-openstack-request-id"].startswith("req-")


def test_a_worker_of_the_api_that_dies_is_replaced_and_none_outlives_its_server(coffer: Deployment) -> None:
    (server,) = coffer.of("api")
    (worker,) = children(server)
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: children(server) not in ([], [worker]), TAKEN_OVER_S, "another worker")
    wait_for(coffer.answers, TAKEN_OVER_S, "its answer")
    (worker,) = children(server)
    os.kill(server.pid, signal.SIGKILL)
    server.process.wait()
    wait_for(lambda: not is_running(worker), TAKEN_OVER_S, "the end of the worker whose server is gone")


def test_every_service_ends_when_it_is_asked_and_only_the_guests_live_on(
    coffer: Deployment, books: str
) -> None:
    tenant = coffer.tenant()
    agent = coffer.agent_pid(books)
    tenant.api.databases.create(books, [{"name": "last"}])
    coffer.events()
    running = [service for service in coffer.services if service.is_alive]
    for service in running:
        code, took_s = service.terminate()
        assert (service.kind, code) == (service.kind, 0)
        assert took_s < STOPPED_S
    assert coffer.rows("select kind from services where seen_at > now() - interval '1 second'") == []
    assert coffer.rows("select holder from leases") == []
    left = [each for each in about(coffer.root) if str(coffer.guest_dir(books)) not in each.arguments]
    assert [each for each in left if not each.directory.startswith(str(coffer.guest_dir(books)))] == []
    assert is_running(agent)
    coffer.mend()
    assert coffer.agent_pid(books) == agent
    assert "last" in {each.name for each in tenant.api.databases.list(books)}


def holder_of(relay: Service) -> str | None:
    """Return the name under which a relay holds the lease, once it has started."""
    said = re.search(r"relay started holder=(\S+)", relay.text())
    return said and said[1]


def active_relay(coffer: Deployment) -> str:
    ((holder,),) = coffer.rows("select holder from leases where name = 'relay'")
    return str(holder)


def children(server: Service) -> list[int]:
    done = subprocess.run(["pgrep", "-P", str(server.pid)], capture_output=True, text=True, check=False)
    return [int(pid) for pid in done.stdout.split()]
