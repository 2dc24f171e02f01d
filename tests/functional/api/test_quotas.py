"""Quotas: what a project may have, who may change that, and that nobody gets more."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.functional.api.world import PROJECT, Reply, World
from tests.support.databases import (
    database_url,
    mariadb_server,
    mariadb_template,
    mariadb_url,
    postgresql_server,
    postgresql_template,
    postgresql_url,
)

from coffer.api.auth import Identity
from coffer.catalogue.resources import Resource
from coffer.catalogue.states import InstanceState
from coffer.lifecycle.emitter import utcnow
from coffer.store import quotas

__all__ = [
    "database_url",
    "mariadb_server",
    "mariadb_template",
    "mariadb_url",
    "postgresql_server",
    "postgresql_template",
    "postgresql_url",
]

OPERATOR = "operator"


class RolesByHeader:
    """Everybody acts for the project of his URL, with the roles of a header."""

    challenge = None

    def identify(self, environ: Any, project_id: str) -> Identity:
        roles = tuple(str(environ.get("HTTP_X_ROLES", "member,reader")).split(","))
        return Identity(user_id="somebody", project_id=project_id, roles=roles)


@pytest.fixture
def world(sqlite_url: str) -> Iterator[World]:
    with World(sqlite_url, authenticator=RolesByHeader()) as opened:
        yield opened


@pytest.fixture
def any_world(database_url: str) -> Iterator[World]:
    with World(database_url) as opened:
        yield opened


def create(world: World, *, flavor: str = "1", volume_gib: int = 1) -> Reply:
    body = {"instance": {"name": "shop", "flavorRef": flavor, "volume": {"size": volume_gib}}}
    return world.call("POST", "/instances", body)


def limit(world: World, **limits: int) -> None:
    wanted = {Resource(name): amount for name, amount in limits.items()}
    with world.database.writing() as tx:
        quotas.set_limits(tx, PROJECT, wanted, utcnow())


def as_operator(world: World, method: str, path: str, body: object = None) -> Reply:
    return world.call(method, path, body, project=OPERATOR, headers={"X-Roles": "admin"})


def used(world: World, project: str = PROJECT) -> dict[str, tuple[int, int, int]]:
    rows = as_operator(world, "GET", f"/mgmt/quotas/{project}").body["quotas"]
    return {row["resource"]: (row["in_use"], row["reserved"], row["limit"]) for row in rows}


def test_what_there_is_is_in_use_and_what_is_being_made_is_reserved(world: World) -> None:
    world.start_taskmanager()
    world.has(ram_mib=512, volume_gib=3)
    world.has(ram_mib=1024, volume_gib=4, state=InstanceState.ERROR)
    world.has(ram_mib=2048, volume_gib=None, state=InstanceState.SHUTDOWN)
    world.has(state=InstanceState.DELETED, deleted_at=utcnow())
    world.has(project_id="another")
    create(world, flavor="2", volume_gib=5)

    assert used(world) == {
        "instances": (3, 1, 10),
        "ram": (3584, 1024, -1),
        "volumes": (7, 5, 40),
        "backups": (0, 0, 50),
    }


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"instances": 1}, "instances (1 of 1 are taken, 1 more asked for)"),
        ({"ram": 1023}, "ram (512 of 1023 are taken, 512 more asked for)"),
        ({"volumes": 2}, "volumes (2 of 2 are taken, 1 more asked for)"),
        ({"instances": 0, "ram": 0, "volumes": 0}, "instances (1 of 0"),
    ],
)
def test_more_than_a_quota_is_refused_and_announced_as_the_tenants_doing(
    world: World, limits: dict[str, int], named: str
) -> None:
    taskmanager = world.start_taskmanager()
    world.has(ram_mib=512, volume_gib=2)
    limit(world, **limits)
    before = used(world)

    reply = create(world)

    assert (reply.status, reply.title) == (413, "overLimit")
    assert named in reply.message
    assert world.told() == ["instance_create.start", "instance_create.error"]
    error = world.events()[-1]
    assert (error.severity, error.payload["fault"]) == ("error", "user")
    assert error.payload["error_code"] == "quota_exceeded"
    assert error.payload["request_id"] == reply.headers["x-openstack-request-id"]
    assert len(world.call("GET", "/instances").body["instances"]) == 1
    assert used(world) == before
    assert taskmanager.notes.count == 0
    assert world.open_runs() == []


def test_a_volume_larger_than_any_may_be_is_refused_after_the_run_began(world: World) -> None:
    limit(world, volumes=-1)

    reply = create(world, volume_gib=101)

    assert (reply.status, reply.title) == (413, "overLimit")
    assert "at most 100 GiB" in reply.message
    assert world.told() == ["instance_create.start", "instance_create.error"]
    assert world.events()[-1].payload["fault"] == "user"


def test_what_exactly_fits_is_made(world: World) -> None:
    world.start_taskmanager()
    limit(world, instances=1, ram=512, volumes=1, backups=0)

    assert create(world).status == 200
    assert create(world).status == 413


def test_what_a_failed_call_had_reserved_is_free_again(world: World) -> None:
    # Nobody takes the task: the instance is there, in ERROR, until it is deleted.
    assert create(world).status == 503
    assert used(world)["instances"] == (1, 0, 10)
    assert used(world)["volumes"] == (1, 0, 40)


def test_projects_do_not_share_a_quota(world: World) -> None:
    world.start_taskmanager()
    limit(world, instances=1)
    world.has(project_id="another")

    assert create(world).status == 200
    assert used(world, "another")["instances"] == (1, 0, 10)


def test_of_those_who_create_at_once_no_more_succeed_than_the_quota_allows(any_world: World) -> None:
    world = any_world
    world.start_taskmanager()
    limit(world, instances=4, volumes=9)
    statuses: list[int] = []
    together = threading.Barrier(12)

    def ask() -> None:
        together.wait(30)
        statuses.append(create(world, volume_gib=2).status)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(statuses) == [200] * 4 + [413] * 8
    with world.database.reading() as tx:
        usage = quotas.usage(tx, PROJECT)
    assert (usage[Resource.INSTANCES].in_use, usage[Resource.INSTANCES].reserved) == (0, 4)
    assert usage[Resource.VOLUMES].reserved == 8
    told = world.told()
    assert told.count("instance_create.start") == 12
    assert told.count("instance_create.error") == 8


def test_projects_that_create_at_once_do_not_wait_for_each_other_forever(any_world: World) -> None:
    world = any_world
    world.start_taskmanager()
    statuses: list[int] = []

    def ask(project: str) -> None:
        body = {"instance": {"name": "shop", "flavorRef": "1", "volume": {"size": 1}}}
        statuses.append(world.call("POST", "/instances", body, project=project).status)

    threads = [threading.Thread(target=ask, args=(f"project-{number % 3}",)) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert statuses == [200] * 9


def test_the_limits_are_those_of_the_project(world: World) -> None:
    limit(world, instances=3, ram=-1)

    (absolute,) = world.call("GET", "/limits").body["limits"]

    assert absolute == {
        "verb": "ABSOLUTE",
        "max_instances": 3,
        "max_ram": -1,
        "max_volumes": 40,
        "max_backups": 50,
    }


def test_an_administrator_sets_limits_and_they_hold_at_once(world: World) -> None:
    world.start_taskmanager()
    path = f"/mgmt/quotas/{PROJECT}"

    reply = as_operator(world, "PUT", path, {"quotas": {"instances": 1, "volumes": -1}})

    assert (reply.status, reply.body) == (200, {"quotas": {"instances": 1, "volumes": -1}})
    assert used(world)["volumes"] == (0, 0, -1)
    assert [create(world, volume_gib=60).status for _ in range(2)] == [200, 413]
    assert as_operator(world, "PUT", path, {"quotas": {"instances": 2}}).status == 200
    assert create(world).status == 200


def test_a_limit_below_what_there_is_takes_nothing_away(world: World) -> None:
    world.has()
    world.has()

    as_operator(world, "PUT", f"/mgmt/quotas/{PROJECT}", {"quotas": {"instances": 1}})

    assert used(world)["instances"] == (2, 0, 1)
    assert create(world).status == 413


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"quotas": {"instances": -2}}, 400),
        ({"quotas": {"instances": 2**31}}, 400),
        ({"quotas": {"instances": "5"}}, 400),
        ({"quotas": {"instances": True}}, 400),
        ({"quotas": {"instances": None}}, 400),
        ({"quotas": {}}, 400),
        ({"instances": 5}, 400),
        ({"quotas": {"cpus": 5}}, 404),
        ({"quotas": {"instances": 5, "cpus": 5}}, 404),
    ],
)
def test_a_limit_that_makes_no_sense_changes_nothing(world: World, body: object, status: int) -> None:
    assert as_operator(world, "PUT", f"/mgmt/quotas/{PROJECT}", body).status == status
    assert used(world)["instances"] == (0, 0, 10)
    assert world.events() == []


def test_a_project_sees_its_own_quota_and_no_other_and_sets_none(world: World) -> None:
    assert world.call("GET", f"/mgmt/quotas/{PROJECT}").status == 200
    assert world.call("GET", f"/mgmt/quotas/{PROJECT}", headers={"X-Roles": "reader"}).status == 200
    assert world.call("GET", "/mgmt/quotas/another").status == 403
    assert world.call("PUT", f"/mgmt/quotas/{PROJECT}", {"quotas": {"instances": 99}}).status == 403
    assert used(world)["instances"] == (0, 0, 10)
