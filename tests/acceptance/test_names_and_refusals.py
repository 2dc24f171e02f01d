"""What tenants call things, and what they may not do: through the unmodified client, on a real server."""

import functools
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support.announcements import ToldRun, settled
from tests.support.standalone import Standalone, standalone
from tests.support.trove import Refused, Tenant

STRANGE = (
    "o'brien",
    'say "hi"',
    "x; drop database shop; --",
    "Größe ☃ 数据库 ق",
    "a\\b",
    "100%",
    "$(id) `id` ${HOME}",
    "-rf",
    "select * from t",
    "UPPER lower",
    "a@b",
    "a&b=c+d",
    "ü" * 31,  # 62 bytes; PostgreSQL keeps 63
)
"""Names that are text and nothing else, whoever quotes badly on the way."""

REFUSED = {
    "NUL": "a\0b",
    "300 characters": "x" * 300,
    "64 bytes": "x" * 64,
    "empty": "",
    "a line": "a\nb",
    "blank at the end": "x ",
    "reserved": "postgres",
    "reserved for the server": "pg_tenant",
    "the agent's own": "os_admin",
    "a slash": "a/b",
    "half a character": "\ud800",
}


@dataclass(frozen=True, slots=True)
class Place:
    """One instance that serves, for all tests of this module."""

    coffer: Standalone
    tenant: Tenant
    id: str

    def count(self) -> int:
        """Return how many runs were ever begun."""
        ((count,),) = self.coffer.rows("select count(*) from runs")
        return int(count)

    def told_since(self, count: int) -> list[ToldRun]:
        """Return the runs that began after the first `count`."""
        return settled(self.coffer).runs[count:]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A control plane with an instance that has a database `shop`."""
    with standalone() as coffer:
        tenant = Tenant(coffer.url)
        yield Place(coffer, tenant, tenant.create_active())


def test_strange_names_really_exist_and_can_be_deleted(place: Place) -> None:
    api, password, before = place.tenant.api, secrets.token_urlsafe(12), place.count()
    root = api.root.create(place.id)

    api.databases.create(place.id, [{"name": name} for name in STRANGE])
    place.coffer.settle()
    api.users.create(
        place.id, [{"name": name, "password": password, "databases": [{"name": name}]} for name in STRANGE]
    )
    told = place.told_since(before)

    assert all(run.succeeded for run in told)
    assert [run.start["payload"]["dbname"] for run in told[: len(STRANGE)]] == list(STRANGE)
    assert [run.start["payload"]["username"] for run in told[len(STRANGE) :]] == list(STRANGE)
    with place.tenant.log_in(place.id, database="shop", user=root[0], password=root[1]) as session:
        found = {name for (name,) in session.execute("select datname from pg_database").fetchall()}
        assert set(STRANGE) | {"shop"} <= found
    assert {each.name for each in api.databases.list(place.id)} == set(STRANGE) | {"shop"}
    assert {each.name for each in api.users.list(place.id)} == set(STRANGE)
    for name in STRANGE:
        assert api.users.get(place.id, name).name == name
        assert [each.name for each in api.users.list_access(place.id, name)] == [name]
        with place.tenant.log_in(place.id, database=name, user=name, password=password) as session:
            assert session.execute("select current_user, current_database()").fetchone() == (name, name)

    before = place.count()
    for name in STRANGE:
        api.users.delete(place.id, name)
        api.databases.delete(place.id, name)
    assert all(run.succeeded for run in place.told_since(before))
    assert {each.name for each in api.databases.list(place.id)} == {"shop"}
    assert api.users.list(place.id) == []


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED.keys())
def test_a_name_that_cannot_be_is_refused_before_anything_begins(place: Place, name: str) -> None:
    api, before = place.tenant.api, place.count()
    calls: list[Callable[[], Any]] = [
        lambda: api.databases.create(place.id, [{"name": "fine"}, {"name": name}]),
        lambda: api.users.create(place.id, [{"name": name, "password": "x" * 12}]),
        lambda: place.tenant.create(databases=[name]),
        lambda: place.tenant.create(users={name: "x" * 12}),
    ]
    for call in calls:
        assert refused(call).http_status == 400
    assert place.count() == before
    assert {each.name for each in api.databases.list(place.id)} == {"shop"}
    assert len(api.instances.list()) == 1


def test_a_database_that_exists_fails_its_own_run_only(place: Place) -> None:
    api, before = place.tenant.api, place.count()

    refusal = refused(lambda: api.databases.create(place.id, [{"name": "shop"}]))
    api.databases.create(place.id, [{"name": "stock"}, {"name": "shop"}])

    alone, stock, shop = place.told_since(before)
    assert refusal.http_status == 400
    for run in (alone, shop):
        assert run.error["message"] == "A database with the name shop already exists."
        assert (run.error["fault"], run.error["error_code"]) == ("user", "database_exists")
        assert run.error["dbname"] == "shop"
    assert refusal.message == alone.error["message"]
    assert stock.succeeded
    assert stock.start["payload"]["request_id"] == shop.start["payload"]["request_id"]
    api.databases.delete(place.id, "stock")
    settled(place.coffer)


def test_what_is_not_there_cannot_be_deleted_and_the_attempt_is_told(place: Place) -> None:
    api, before = place.tenant.api, place.count()

    for call in (
        lambda: api.users.delete(place.id, "nobody"),
        lambda: api.databases.delete(place.id, "nothing"),
    ):
        assert refused(call).http_status == 404

    told = place.told_since(before)
    assert [run.operation for run in told] == ["user_delete", "database_delete"]
    assert {run.error["fault"] for run in told} == {"user"}


def test_a_user_for_a_database_that_is_not_there_fails_as_the_callers_fault(place: Place) -> None:
    api, before = place.tenant.api, place.count()

    api.users.create(
        place.id, [{"name": "eve", "password": secrets.token_urlsafe(12), "databases": [{"name": "nothing"}]}]
    )

    (run,) = place.told_since(before)
    assert run.error["message"] == "Database nothing cannot be found."
    assert (run.error["fault"], run.error["username"]) == ("user", "eve")
    assert api.users.list(place.id) == []


def test_an_instance_that_is_being_built_refuses_and_the_attempts_are_told(place: Place) -> None:
    api = place.tenant.api
    instance_id = place.tenant.create("young")
    before = place.count()

    for call in every_call(place.tenant, instance_id):
        assert refused(call).http_status == 422
    for reading in (api.databases.list, api.users.list, api.root.is_root_enabled):
        assert refused(functools.partial(reading, instance_id)).http_status == 422

    told = place.told_since(before)
    assert [run.operation for run in told] == list(EVERY_OPERATION)
    assert {(run.error["fault"], run.error["error_code"]) for run in told} == {("user", "wrong_state")}
    assert place.tenant.wait_for(instance_id, "ACTIVE")
    api.instances.delete(instance_id)
    place.tenant.wait_until_gone(instance_id)

    before = place.count()
    for call in every_call(place.tenant, instance_id):
        assert refused(call).http_status == 404, "a deleted instance is gone"
    assert place.count() == before


def test_the_instance_of_another_project_does_not_exist(place: Place) -> None:
    stranger, before = Tenant(place.coffer.url, "evil"), place.count()

    for call in (
        *every_call(stranger, place.id),
        lambda: stranger.show(place.id),
        lambda: stranger.api.databases.list(place.id),
        lambda: stranger.api.root.create(place.id),
        lambda: stranger.api.instances.update(place.id, name="mine"),
    ):
        refusal = refused(call)
        assert refusal.http_status == 404
        assert refusal.message == f"Instance {place.id} cannot be found."
    assert stranger.api.instances.list() == []
    assert place.count() == before


EVERY_OPERATION = (
    *("instance_restart", "database_create", "database_delete"),
    *("user_create", "user_delete", "instance_delete"),
)


def every_call(tenant: Tenant, instance_id: str) -> list[Callable[[], Any]]:
    """Return the calls that change an instance, in the order of `EVERY_OPERATION`."""
    api = tenant.api
    return [
        lambda: api.instances.restart(instance_id),
        lambda: api.databases.create(instance_id, [{"name": "stock"}]),
        lambda: api.databases.delete(instance_id, "shop"),
        lambda: api.users.create(instance_id, [{"name": "eve", "password": "x" * 12}]),
        lambda: api.users.delete(instance_id, "eve"),
        lambda: api.instances.delete(instance_id),
    ]


def refused(call: Callable[[], Any]) -> Refused:
    """Make a call that must be refused, and return the refusal."""
    with pytest.raises(Refused) as refusal:
        call()
    found: Refused = refusal.value
    return found
