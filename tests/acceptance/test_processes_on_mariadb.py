"""The separate processes again, with MariaDB below them instead of PostgreSQL."""

from collections.abc import Iterator

import pytest
from tests.acceptance import test_processes_on_rabbitmq as on_postgresql
from tests.support.deployment import Deployment, deployment
from tests.support.mariadb_server import MariadbServer, running_mariadb

pytestmark = [pytest.mark.rabbitmq, pytest.mark.mariadb]


@pytest.fixture(scope="module")
def server() -> Iterator[MariadbServer]:
    with running_mariadb() as running:
        yield running


@pytest.fixture(scope="module")
def coffer(server: MariadbServer) -> Iterator[Deployment]:
    with deployment(server=server) as (made, _):
        made.mend()
        yield made


def test_an_instance_is_made_used_and_removed_on_mariadb(coffer: Deployment) -> None:
    on_postgresql.test_an_instance_is_made_used_and_removed_by_processes_that_know_each_other_by_messages_only(
        coffer
    )


def test_a_crash_of_mariadb_is_survived_by_every_process(coffer: Deployment, server: MariadbServer) -> None:
    services = [service.pid for service in coffer.services if service.is_alive]
    tenant = coffer.tenant()
    instance_id = tenant.create_active()
    server.kill_and_restart()
    tenant.api.databases.create(instance_id, [{"name": "orders"}])
    coffer.events()
    tenant.api.instances.delete(instance_id)
    tenant.wait_until_gone(instance_id)

    events = coffer.events()
    on_postgresql.runs_of(events)
    assert on_postgresql.endings(events, instance_id) == [
        ("instance_create", "end", "conductor"),
        ("database_create", "end", "conductor"),
        ("instance_delete", "end", "task"),
    ]
    assert [service.pid for service in coffer.services if service.is_alive] == services
