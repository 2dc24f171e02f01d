"""A guest turns against the control plane, with its own credentials: nothing is believed, nothing breaks.

One deployment, an honest tenant with an instance, and another tenant whose guest agent has been replaced by an attacker
(tests/support/rogue.py). After each attack: refused, one line in the log, no event, no state changed, and the honest
tenant is served.
"""

import base64
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString
from urllib.parse import urlsplit

import pytest
import requests
from tests.support.attacks_by_broker import BY_BROKER, REFUSED
from tests.support.attacks_by_frame import BY_FRAME, UGLY, heartbeat
from tests.support.attacks_by_report import LIES
from tests.support.held import backups_held_up
from tests.support.hostile_stage import (
    WAIT_S,
    Stage,
    hostile_stage,
    last_event,
    open_run,
    own_run,
    refused,
)
from tests.support.rogue import Rogue, frozen
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgresql]


FORGED = UGLY.splitlines()[1][:30]
"""How a line of the log would begin that the attacker has written."""


@pytest.fixture(scope="module")
def staged() -> Iterator[Stage]:
    with hostile_stage() as stage:
        yield stage
        wait_for(stage.is_announced, WAIT_S, "everything that was done to be announced, and nothing else")


@pytest.fixture
def stage(staged: Stage) -> Iterator[Stage]:
    """Hold the honest tenant's service and the state of everything against what a test did."""
    staged.lines()
    yield staged
    # By what comes after it in the same queues, every message of the attacker's is done with.
    staged.serve()
    assert staged.lines() == []
    assert [service.kind for service in staged.coffer.services if not service.is_alive] == []
    for service in staged.coffer.services:
        assert [line for line in service.text().splitlines() if line.startswith(FORGED)] == []
        assert "\x1b" not in service.text()


@pytest.mark.parametrize("attack", BY_BROKER)
def test_the_broker_refuses_a_guest_that(stage: Stage, attack: str) -> None:
    before = stage.state()
    with pytest.raises(REFUSED):
        BY_BROKER[attack](stage.rogue, stage.victim)
    assert stage.state() == before
    assert stage.lines() == []


@pytest.mark.parametrize("attack", BY_FRAME)
def test_the_conductor_refuses(stage: Stage, attack: str) -> None:
    before = stage.state()
    BY_FRAME[attack](stage.rogue, stage.victim)
    refused(stage)
    assert stage.state() == before


def test_a_message_of_long_ago_is_refused(stage: Stage) -> None:
    """Withheld until so many others went out that nobody knows any more whether it did."""
    before, rogue = stage.state(), stage.rogue
    withheld = heartbeat(rogue)
    for _ in range(1100):
        rogue.number()
    latest = rogue.number()
    rogue.publish(heartbeat(rogue, number=latest))
    taken: LiteralString = "select instance_id, highest from guest_channels"
    # Two messages under way at once may be taken in either order.
    wait_for(
        lambda: (rogue.instance_id, latest) in stage.coffer.rows(taken),
        WAIT_S,
        "the later message to be taken",
    )
    rogue.publish(withheld)
    refused(stage)
    assert stage.state() == before


def test_the_management_of_the_broker_does_not_know_guests(stage: Stage) -> None:
    rogue, place = stage.rogue, f"http://127.0.0.1:{stage.node.management_port}/api"
    for path in ("overview", "users", "queues", f"users/{rogue.user}"):
        answer = requests.get(f"{place}/{path}", auth=(rogue.user, rogue.password), timeout=10)
        assert answer.status_code == requests.codes.unauthorized
    assert stage.lines() == []


def test_the_broker_bounds_what_guests_leave_there(stage: Stage) -> None:
    found = requests.get(f"{stage.node.management_url}/api/policies", timeout=10).json()
    overflows = {each["pattern"]: each["definition"]["overflow"] for each in found}
    assert overflows == {r"^trove\-conductor$": "reject-publish", r"^guestagent\.": "reject-publish"}


def test_a_thousand_messages_of_noise_are_refused_one_by_one(stage: Stage) -> None:
    before = stage.state()
    stage.rogue.publish(*(os.urandom(200) for _ in range(1000)))
    refused(stage, 1000)
    assert stage.state() == before


def test_a_heartbeat_in_another_one_s_name_is_its_own(stage: Stage) -> None:
    said = stage.rogue.request(
        "heartbeat", instance_id=stage.victim, status="CRASHED", sent_at="2100-01-01T00:00:00Z"
    )
    stage.rogue.publish(stage.rogue.sealed(said))
    heard: LiteralString = "select id, service_status from instances where service_status = 'CRASHED'"
    wait_for(lambda: stage.coffer.rows(heard) != [], WAIT_S, "the heartbeat")
    assert stage.coffer.rows(heard) == [(stage.rogue.instance_id, "CRASHED")]
    stage.rogue.publish(stage.rogue.sealed(stage.rogue.request("heartbeat", status="HEALTHY")))
    wait_for(lambda: stage.coffer.rows(heard) == [], WAIT_S, "the next heartbeat")
    assert stage.lines() == []


def test_a_run_of_another_guest_is_none_of_its_business(stage: Stage) -> None:
    rogue = stage.rogue
    with backups_held_up(stage.coffer.guest_dir(stage.victim)):
        stage.honest.api.backups.create("held", stage.victim)
        run = open_run(stage, stage.victim)
        before = stage.state()
        checksum = "0" * 64
        for said in (
            rogue.request("notify_end", run=run, traits={"size_bytes": 1, "checksum": checksum}),
            rogue.request(
                "notify_end", run=run, instance_id=stage.victim, traits={}, order={}, handed_to=None
            ),
            rogue.request(
                "notify_exc_info", run=run, etype="guest_failed", value={"message": "ha"}, trace=""
            ),
        ):
            rogue.publish(rogue.sealed(said))
        refused(stage, 3)
        assert stage.state() == before
    stage.honest.wait_for(stage.victim, "ACTIVE")
    ((ending,),) = stage.coffer.rows("select ending from runs order by started_at desc limit 1")
    assert ending == "end"
    stage.coffer.events()


@pytest.mark.parametrize("lie", LIES)
def test_what_a_guest_says_of_its_own_run_is_disarmed(stage: Stage, lie: str) -> None:
    method, args = LIES[lie]
    rogue = stage.rogue
    run, _ = own_run(stage)
    rogue.publish(rogue.sealed(rogue.request(method, run=run, **args)))
    ended: LiteralString = "select count(*) from runs where ended_at is null"
    wait_for(lambda: stage.coffer.rows(ended) == [(0,)], WAIT_S, "the run to end")
    stage.coffer.events()
    payload = last_event(stage)
    assert (payload["run_id"], payload["tenant_id"], payload["instance_id"]) == (
        run[0],
        "evil",
        rogue.instance_id,
    )
    assert (payload["error_code"], payload["fault"], payload["server_type"]) == (
        "guest_failed",
        "system",
        "conductor",
    )
    text = json.dumps(payload)
    assert "hush" not in text
    assert len(text) < 20_000
    assert all(letter.isprintable() or letter == "\n" for letter in payload["message"])
    (line,) = stage.lines()
    assert "coffer.lifecycle.runs" in line
    assert "ending=error code=guest_failed" in line


def test_what_the_control_plane_said_does_not_come_back_as_a_guest_s_word(stage: Stage) -> None:
    rogue = stage.rogue
    run, said = own_run(stage)
    before = stage.state()
    rogue.publish(said)
    rogue.publish(json.dumps({**json.loads(said), "to": "control"}).encode())
    refused(stage, 2)
    assert stage.state() == before
    failure = rogue.request("notify_exc_info", run=run, etype="guest_failed", value={}, trace="")
    rogue.publish(rogue.sealed(failure))
    stage.coffer.events()
    # It has ended; whatever is said of it later is too late.
    before = stage.state()
    rogue.publish(
        rogue.sealed(rogue.request("notify_end", run=run, traits={"size_bytes": 1, "checksum": "0" * 64}))
    )
    rogue.publish(rogue.sealed({**failure, "id": "1" * 32}))
    stage.serve()
    assert [row for row in before if row not in stage.state()] == []
    (line,) = stage.lines()
    assert "ending=error code=guest_failed" in line


def test_answers_count_once_and_from_whom_was_asked(stage: Stage) -> None:
    rogue, heard = stage.rogue, []
    rogue.purge()
    asking = threading.Thread(
        target=lambda: heard.append([each.name for each in stage.evil.api.databases.list(rogue.instance_id)])
    )
    asking.start()
    question = rogue.open(rogue.next_message())
    assert question["method"] == "list_databases"
    rogue.publish(rogue.answer({**question, "id": "f" * 32}, [{"name": "unasked"}]))
    rogue.publish(*(rogue.answer(question, [{"name": name}]) for name in ("first", "second")))
    asking.join(WAIT_S)
    assert heard in ([["first"]], [["second"]]), "whichever the conductor's threads passed on first"
    (api,) = stage.coffer.of("api")
    # Nobody can tell an answer that nobody asked for from one that comes too late.
    wait_for(lambda: api.text().count("answer comes too late") == 2, WAIT_S, "both others to be dropped")


def test_an_answer_to_what_another_guest_was_asked_is_not_taken(stage: Stage) -> None:
    """The attacker knows all that could be known: the very question, and where its answer is awaited."""
    victim = Rogue.of(stage.coffer.guest_dir(stage.victim))
    agent = stage.coffer.agent_pid(stage.victim)
    frozen(agent)
    try:
        account = f"{stage.node.management_url}/api/connections/username/guest-{stage.victim}"
        requests.delete(account, timeout=10).raise_for_status()
        heard: list[list[str]] = []
        asking = threading.Thread(
            target=lambda: heard.append([each.name for each in stage.honest.api.databases.list(stage.victim)])
        )
        asking.start()
        body = victim.next_message()
        question = victim.open(body)
        stage.rogue.publish(stage.rogue.answer(question, [{"name": "forged"}]))
        refused(stage, 1)
        for _ in range(500):
            victim.number()  # those that its agent will use when it goes on
        victim.publish(victim.answer(question, [{"name": "true"}]))
        asking.join(WAIT_S)
        assert heard == [["true"]]
    finally:
        os.kill(agent, signal.SIGCONT)


def test_an_agent_knows_no_secret_of_the_control_plane(stage: Stage) -> None:
    coffer = stage.coffer
    own, others = Rogue.of(coffer.guest_dir(stage.victim)), stage.rogue
    secrets = [
        stage.node.password,
        coffer.guest_secret,
        urlsplit(coffer.database_url).password or "none",
        others.password,
        base64.b64encode(others.key).decode(),
        str(coffer.config_file),
    ]
    agent, guest_dir = coffer.agent_pid(stage.victim), coffer.guest_dir(stage.victim)
    texts = {
        name: Path(f"/proc/{agent}/{name}").read_text(errors="replace") for name in ("environ", "cmdline")
    }
    for path in guest_dir.rglob("*"):
        if path.is_file() and "data" not in path.relative_to(guest_dir).parts:
            texts[path.name] = path.read_text(errors="replace")
            opened = path.stat()
            assert opened.st_mode & 0o077 == 0 or "conf" in path.relative_to(guest_dir).parts, path
    assert {"credentials.json", "agent.conf", "channel.json", "guestagent.log"} <= texts.keys()
    assert [
        (name, secrets.index(each)) for name, text in texts.items() for each in secrets if each in text
    ] == []
    # Its own are in one place only.
    assert [name for name, text in texts.items() if own.password in text] == ["credentials.json"]
    for service in coffer.services:
        assert own.password not in service.text()


def test_after_a_rotation_the_old_key_and_the_old_password_open_nothing(stage: Stage) -> None:
    old = Rogue.of(stage.coffer.guest_dir(stage.victim))
    stage.rogue.purge()
    said = stage.coffer.run("guests", "rotate", stage.victim)
    assert said == f"{stage.victim} has key {old.key_id + 1} now.\n"
    new = Rogue.of(stage.coffer.guest_dir(stage.victim))
    assert (new.key_id, new.password != old.password, new.key != old.key) == (old.key_id + 1, True, True)
    stage.lines()  # a message that was under way under the old key may have been refused
    with pytest.raises(REFUSED):
        old.publish(b"x")
    heartbeat = old.sealed(old.request("heartbeat", status="CRASHED"))
    new.publish(heartbeat)
    refused(stage)
    listed = json.loads(stage.coffer.run("guests", "list", "--format", "json"))
    assert {each["instance_id"]: (each["account"], each["key_id"]) for each in listed["guests"]} == {
        stage.victim: ("own", new.key_id),
        stage.rogue.instance_id: ("own", stage.rogue.key_id),
    }
    assert stage.coffer.run("guests", "rewrap").startswith("2 keys")
