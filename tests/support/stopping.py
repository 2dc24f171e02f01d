"""Services that are held up in the middle of their work, asked to stop there, or refused their queue by a broker."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from tests.support.deployment import COFFER, Deployment, Service
from tests.support.queues import channel
from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_for

DONE_S = 40.0


@contextmanager
def held(url: str, table: LiteralString, mode: LiteralString = "share") -> Iterator[psycopg.Connection]:
    """Lock a table, so that who would write it waits; the lock ends with the block, or earlier by `commit`."""
    with psycopg.connect(url) as connection:
        connection.execute(f"lock table {table} in {mode} mode")
        yield connection


def wait_until_held_up(url: str, count: int = 1) -> None:
    waiting: LiteralString = (
        "select count(*) from pg_locks l join pg_database d on d.oid = l.database"
        " where not granted and d.datname = current_database()"
    )

    def is_held_up() -> bool:
        with psycopg.connect(url) as connection:
            return connection.execute(waiting).fetchone() == (count,)

    wait_for(is_held_up, DONE_S, "somebody to wait for the lock")


def asked_to_stop(service: Service) -> Service:
    """Ask a service to stop, and return when it has heard it, and waits for its work."""
    os.kill(service.pid, signal.SIGTERM)
    wait_for(lambda: "stopping service=" in service.text(), DONE_S, "the service to hear of its end")
    assert service.is_alive
    return service


def stopped(service: Service) -> int:
    return service.process.wait(DONE_S)


def start_where_the_queue_is_another(
    coffer: Deployment, node: RabbitNode, kind: str, queue: str, *, durable: bool
) -> Service:
    """Start a service anew, after its queue was declared as a classic one by somebody else."""
    for service in coffer.of(kind):
        assert service.terminate()[0] == 0
    with channel(node) as opened:
        opened.queue_delete(queue)
        opened.queue_declare(queue, durable=durable, auto_delete=False)
    return coffer.start(kind)


def mismatches(coffer: Deployment) -> list[str]:
    """Return what `coffer status` says of queues that were declared otherwise."""
    done = subprocess.run(
        [COFFER, "status", "--format", "json", "--config-file", str(coffer.config_file)],
        capture_output=True,
        check=False,
    )
    return [each for each in json.loads(done.stdout)["problems"] if "exists on the broker" in each]


def wait_until_claimed(coffer: Deployment) -> int:
    """Wait until a taskmanager works on the only open run; return its process."""
    claimed: LiteralString = (
        "select s.pid from runs r join services s on s.id = r.claimed_by where r.ended_at is null"
    )
    ((pid,),) = wait_for(lambda: coffer.rows(claimed), DONE_S, "a taskmanager to begin")
    return int(pid)
