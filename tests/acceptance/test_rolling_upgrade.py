"""An upgrade under an API of version 0.1.0, which runs on: the schema, then every other service, become today's.

The old API is the released one, out of the repository's history, as a process of its own.
"""

import io
import os
import secrets
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.support.deployment import COFFER, START_S, Deployment, Service, deployment
from tests.support.postgresql_server import running_server
from tests.support.scratch import scratch
from tests.support.waiting import wait_for

from coffer.store import migrate
from coffer.store.migrate import Schema

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgresql, pytest.mark.soak, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
RELEASED = "a441fe3beae6c24d1219ec72031c3e6b63a05ace"
"""The commit of version 0.1.0, whose contracts are recorded as 1.0."""
REPLACED = ("conductor", "taskmanager", "relay", "collector")


@pytest.fixture
def old_environment() -> Iterator[Mapping[str, str]]:
    """What lets `coffer` be the released one."""
    known = subprocess.run(["git", "cat-file", "-e", RELEASED], cwd=ROOT, capture_output=True, check=False)
    if known.returncode != 0:
        pytest.skip(f"the history does not reach back to {RELEASED}")
    archive = subprocess.run(
        ["git", "archive", RELEASED, "src"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with scratch() as root:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(root, filter="data")
        environment = {**os.environ, "PYTHONPATH": str(root / "src")}
        where = [sys.executable, "-c", "import coffer; print(coffer.__file__)"]
        assert (
            str(root)
            in subprocess.run(
                where, env=environment, cwd="/", capture_output=True, text=True, check=True
            ).stdout
        )
        yield environment


def start(coffer: Deployment, kind: str, environment: Mapping[str, str]) -> Service:
    """Start a service in an environment of its own."""
    log = coffer.root / f"old-{kind}-{secrets.token_hex(3)}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [COFFER, kind, "--config-file", str(coffer.config_file)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
    service = Service(kind, process, log)
    coffer.services.append(service)
    return service


def upgrade(coffer: Deployment, environment: Mapping[str, str]) -> None:
    """Bring the databases to the schema of the released version."""
    subprocess.run(
        [COFFER, "db", "upgrade", "--config-file", str(coffer.config_file)],
        env=environment,
        capture_output=True,
        cwd="/",
        check=True,
    )


def test_an_api_of_the_version_before_works_on_with_everything_else_new(
    old_environment: Mapping[str, str],
) -> None:
    with running_server() as server, deployment(server=server) as (coffer, _):
        coffer.database_url = server.url(server.create_database())
        coffer.configure()
        upgrade(coffer, old_environment)
        assert migrate.schema(coffer.database_url) is Schema.OLDER
        api = start(coffer, "api", old_environment)
        wait_for(coffer.answers, START_S, "the old API to listen")

        coffer.run("db", "upgrade")
        assert migrate.schema(coffer.database_url) is Schema.CURRENT
        assert coffer.answers(), api.text()
        for kind in REPLACED:
            coffer.start(kind)
        coffer.mend()
        assert coffer.of("api") == [api]

        tenant = coffer.tenant()
        books = tenant.create_active(users={"alice": "tigers-secret"})
        tenant.api.instances.restart(books)
        wait_for(lambda: _restarted(coffer), START_S, "the restart")
        tenant.wait_for(books, "ACTIVE")
        tenant.api.instances.resize_volume(books, 2)
        wait_for(lambda: tenant.show(books)["volume"]["size"] == 2, START_S, "the larger volume")
        tenant.wait_for(books, "ACTIVE")
        tenant.api.instances.delete(books)
        tenant.wait_until_gone(books)

        told = [event["event_type"].removeprefix("dbaas.") for event in coffer.events()]
        runs = ("instance_create", "instance_restart", "instance_resize_volume", "instance_delete")
        assert [each for each in told if not each.startswith("trove.")] == [
            f"{run}.{phase}" for run in runs for phase in ("start", "end")
        ]
        assert api.is_alive
        assert "Traceback" not in api.text()


def _restarted(coffer: Deployment) -> bool:
    query = "select 1 from runs where operation = 'instance_restart' and ended_at is not null"
    return bool(coffer.rows(query))
