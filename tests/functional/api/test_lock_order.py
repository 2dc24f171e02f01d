"""Calls that need the same rows do not wait for each other: everybody locks them in one order."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.functional.api.groups import made
from tests.functional.api.world import PROJECT, World
from tests.support.databases import (
    mariadb_server,
    mariadb_template,
    mariadb_url,
    postgresql_server,
    postgresql_template,
    postgresql_url,
)
from tests.support.waiting import wait_for

from coffer.lifecycle.emitter import utcnow
from coffer.store import configurations, quotas, replication
from coffer.store.database import Tx

__all__ = [
    "mariadb_server",
    "mariadb_template",
    "mariadb_url",
    "postgresql_server",
    "postgresql_template",
    "postgresql_url",
]

_WAITING = {
    "postgresql": "select 1 from pg_stat_activity"
    " where datname = current_database() and wait_event_type = 'Lock'",
    "mysql": "select 1 from information_schema.processlist"
    " where db = database() and command = 'Query' and state = 'Updating'",
}
_IMPATIENCE = {
    "postgresql": "SET LOCAL lock_timeout = '500ms'",
    "mysql": "SET SESSION innodb_lock_wait_timeout = 1",
}


@pytest.fixture(
    params=[
        pytest.param("postgresql_url", marks=pytest.mark.postgresql),
        pytest.param("mariadb_url", marks=pytest.mark.mariadb),
    ]
)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """SQLite has one writer, who waits for nobody."""
    with World(request.getfixturevalue(request.param)) as opened:
        yield opened


def lock_instance(tx: Tx, instance_id: str) -> None:
    replication.lock(tx, instance_id)


def lock_quota(tx: Tx, _: str) -> None:
    quotas.take_turn(tx, PROJECT, utcnow())


@pytest.mark.parametrize("of_a_source", [True, False])
@pytest.mark.parametrize("then", [lock_instance, lock_quota])
def test_who_has_locked_a_group_may_go_on_to_instances_and_quotas(
    world: World, then: Callable[[Tx, str], None], of_a_source: bool
) -> None:
    group_id = made(world)
    source = world.has(configuration_id=group_id)
    world.start_taskmanager()
    body = {"name": "new", "flavorRef": "1", "volume": {"size": 1}, "configuration": group_id}
    if of_a_source:
        body |= {"replica_of": source.id, "volume": {"size": source.volume_gib}}

    def waits() -> bool:
        with world.database.reading() as tx:
            return tx.exec_driver_sql(_WAITING[world.database.dialect]).first() is not None

    with ThreadPoolExecutor(max_workers=1) as pool:
        with world.database.writing() as tx:
            assert configurations.lock(tx, group_id) is not None
            answer = pool.submit(world.call, "POST", "/instances", {"instance": body})
            wait_for(waits, 10, "the call to wait for the group")
            tx.exec_driver_sql(_IMPATIENCE[world.database.dialect])
            then(tx, source.id)
        reply = answer.result(20)

    assert reply.status == 200, reply.body
