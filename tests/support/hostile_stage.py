"""Where a guest turns: an honest tenant with an instance, and one whose agent an attacker has replaced."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import requests
from tests.support.deployment import Deployment, deployment
from tests.support.rabbitmq import RabbitNode
from tests.support.rogue import Rogue, frozen
from tests.support.trove import Tenant
from tests.support.waiting import wait_for

WAIT_S = 30.0
STATE: LiteralString = (
    "select id, state, name, fault_code, fault_message, host, port, server_id, volume_id, ram_mib, volume_gib,"
    " configuration_id, replica_of, root_enabled_at, launched_at, deleted_at, service_status from instances order by id"
)
TROUBLE = re.compile(r"^\S+ \S+ \d+ (WARNING|ERROR|CRITICAL) |^Traceback", re.MULTILINE)


@dataclass
class Stage:
    """The deployment, the honest tenant with its instance, and the attacker."""

    coffer: Deployment
    node: RabbitNode
    honest: Tenant
    victim: str
    evil: Tenant
    rogue: Rogue
    _read: dict[Path, int] = field(default_factory=dict)
    _made: int = 0

    def lines(self) -> list[str]:
        """Return what the services have complained of since the last time."""
        found: list[str] = []
        for service in self.coffer.services:
            text = service.text()
            found += [
                line for line in text[self._read.get(service.log, 0) :].splitlines() if TROUBLE.search(line)
            ]
            self._read[service.log] = len(text)
        return found

    def state(self) -> list[tuple[Any, ...]]:
        """Return what the database knows of instances, runs and backups."""
        runs: LiteralString = "select run_id, operation, ended_at, ending, message from runs order by run_id"
        backups: LiteralString = "select id, state, size_bytes, checksum from backups order by id"
        return [*self.coffer.rows(STATE), *self.coffer.rows(runs), *self.coffer.rows(backups)]

    def serve(self) -> None:
        """Have the honest tenant served."""
        self._made += 1
        self.honest.api.databases.create(self.victim, [{"name": f"honest{self._made}"}])
        ended: LiteralString = (
            "select ending from runs where operation = 'database_create' order by started_at desc limit 1"
        )
        wait_for(lambda: self.coffer.rows(ended) == [("end",)], WAIT_S, "the honest tenant to be served")

    def is_announced(self) -> bool:
        """Whether each run was announced, its beginning and its ending, and nothing else was."""
        runs = self.coffer.rows(
            "select run_id, count(*) * 2 from runs where ended_at is not null group by run_id"
        )
        told: LiteralString = (
            "select run_id, count(*) from events where event_type like 'dbaas.%' group by run_id"
        )
        other: LiteralString = (
            "select (select count(*) from events where event_type not like 'dbaas.%'),"
            " (select count(*) from dead_letters)"
        )
        with psycopg.connect(self.coffer.collector_url) as connection:
            found = connection.execute(told).fetchall()
            rest = connection.execute(other).fetchall()
        return sorted(runs) == sorted(found) and rest == [(2, 0)]


@contextmanager
def hostile_stage() -> Iterator[Stage]:
    with deployment(has_management=True) as (coffer, node):
        requests.put(f"{node.management_url}/api/vhosts/elsewhere", timeout=10).raise_for_status()
        coffer.mend()
        honest, evil = coffer.tenant("honest"), coffer.tenant("evil")
        victim, turned = honest.create(databases=["shop"]), evil.create(databases=["shop"])
        honest.wait_for(victim, "ACTIVE")
        evil.wait_for(turned, "ACTIVE")
        coffer.events()
        frozen(coffer.agent_pid(turned))
        account = f"{node.management_url}/api/connections/username/guest-{turned}"
        requests.delete(account, timeout=10).raise_for_status()
        yield Stage(coffer, node, honest, victim, evil, Rogue.of(coffer.guest_dir(turned)))


def refused(stage: Stage, times: int = 1) -> None:
    """Wait for the lines that say that something was refused; the fixture sees to it that there are no others."""
    found: list[str] = []

    def said() -> bool:
        found.extend(stage.lines())
        return len(found) >= times

    wait_for(said, WAIT_S, "the refusal to be logged")
    assert len(found) == times, found
    assert all("refused" in line for line in found), found


def open_run(stage: Stage, instance_id: str) -> tuple[str, str]:
    """Return the open run of an instance once its guest has it."""
    query: LiteralString = "select run_id, operation, handed_to from runs where ended_at is null"

    def found() -> list[tuple[Any, ...]]:
        return [row for row in stage.coffer.rows(query) if row[2] == instance_id]

    ((run_id, operation, _),) = wait_for(found, WAIT_S, "the guest to have a run")
    return str(run_id), str(operation)


def own_run(stage: Stage) -> tuple[tuple[str, str], bytes]:
    """Have the attacker given a run of its own, a backup; return the run, and the message by which it was given."""
    rogue = stage.rogue
    rogue.purge()
    stage.evil.api.backups.create("mine", rogue.instance_id)
    question = rogue.open(rogue.next_message())
    assert question["method"] == "status"
    rogue.publish(rogue.answer(question, "HEALTHY"))
    given = rogue.next_message()
    assert rogue.open(given)["method"] == "create_backup"
    return open_run(stage, rogue.instance_id), given


def last_event(stage: Stage) -> dict[str, Any]:
    with psycopg.connect(stage.coffer.collector_url) as connection:
        row = connection.execute("select payload from events order by id desc limit 1").fetchone()
    assert row is not None
    payload: dict[str, Any] = json.loads(row[0])
    return payload
