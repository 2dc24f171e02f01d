"""The API behind a real Keystone: who is let in, who is not, and as whom.

One Keystone for all of it. Most is asked of the API in this process; what a tenant types with `openstack` goes to a
control plane that is a process of its own, found by the catalogue of services.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.functional.api.world import Reply, World
from tests.support.databases import sqlite_template, sqlite_url
from tests.support.keystone import Keystone, in_iso, running_keystone
from tests.support.openstack import OpenStack
from tests.support.standalone import Standalone, standalone
from tests.support.trove import Tenant
from tests.support.waiting import wait_for

from coffer.api import keystone as strategy
from coffer.main.settings import load

__all__ = ["sqlite_template", "sqlite_url"]

pytestmark = pytest.mark.keystone

FOR_EVER_S = 30.0


@pytest.fixture(scope="module")
def keystone() -> Iterator[Keystone]:
    """Two projects and their people; `root` is an administrator with a project of his own."""
    with running_keystone() as running:
        for project in ("acme", "rival", "operations"):
            running.add_project(project)
        running.add_user("mary", roles={"acme": "member"})
        running.add_user("rea", roles={"acme": "reader"})
        running.add_user("rick", roles={"rival": "member"})
        running.add_user("root", roles={"operations": "admin"})
        yield running


Open = Callable[..., World]


@pytest.fixture
def api(keystone: Keystone, sqlite_url: str, tmp_path: Path) -> Iterator[Open]:
    """Open the API in this process, on one database; options are of [keystone_authtoken]."""
    with ExitStack() as cleanup:

        def opened(*, at_once: int = 4, **options: object) -> World:
            groups = keystone.options()
            groups["keystone_authtoken"].update(options)
            path = tmp_path / "coffer.conf"
            path.write_text(
                "\n".join(
                    line
                    for group, values in groups.items()
                    for line in (f"[{group}]", *(f"{name} = {value}" for name, value in values.items()))
                )
            )
            authenticator = strategy.Keystone(load([path]), at_once=at_once)
            return cleanup.enter_context(World(sqlite_url, authenticator=authenticator))

        yield opened


def ask(
    world: World, project: str, token: str | None, method: str = "GET", path: str = "/flavors", **more: Any
) -> Reply:
    headers = {**more.pop("headers", {}), **({} if token is None else {"X-Auth-Token": token})}
    return world.call(method, path, project=project, headers=headers, **more)


def status(world: World, project: str, token: str | None, *call: str) -> int:
    return ask(world, project, token, *call).status


def assert_challenged(reply: Reply, keystone: Keystone) -> None:
    assert (reply.status, reply.title, reply.body["unauthorized"]["code"]) == (401, "unauthorized", 401)
    assert reply.headers["www-authenticate"] == f'Keystone uri="{keystone.url}"'
    assert reply.headers["x-openstack-request-id"].startswith("req-")


# --- who is let in --------------------------------------------------------------------------------


def test_who_does_not_log_in_sees_the_versions_only(api: Open, keystone: Keystone) -> None:
    world, acme = api(), keystone.ids["acme"]

    assert_challenged(ask(world, acme, None), keystone)
    assert_challenged(ask(world, acme, "gAAAAA-made-up"), keystone)
    assert_challenged(ask(world, acme, "tökén".encode().decode("latin-1")), keystone)
    assert_challenged(ask(world, acme, None, "GET", "/nothing-like-it"), keystone)
    for path in ("/", "/v1.0", "/v1.0/", "/healthz"):
        assert world.client.simulate_get(path).status_code == 200


def test_a_client_cannot_say_who_it_is(api: Open, keystone: Keystone) -> None:
    world, acme, rival = api(), keystone.ids["acme"], keystone.ids["rival"]
    claimed = {
        "X-Identity-Status": "Confirmed",
        "X-User-Id": "root",
        "X-Project-Id": acme,
        "X-Tenant-Id": acme,
        "X-Roles": "admin,member,reader",
        "X-Role": "admin",
        "X-Is-Admin-Project": "True",
        "OpenStack-System-Scope": "all",
        "X-Service-Identity-Status": "Confirmed",
        "X-Service-Roles": "admin,service",
    }
    reader = keystone.token("rea", project="acme")
    instance = world.has(project_id=acme)

    assert_challenged(ask(world, acme, None, headers=claimed), keystone)
    assert ask(world, acme, reader, headers=claimed).status == 200
    assert ask(world, acme, reader, "GET", "/mgmt/instances", headers=claimed).status == 403
    assert ask(world, acme, reader, "DELETE", f"/instances/{instance.id}", headers=claimed).status == 403
    assert ask(world, rival, reader, headers={**claimed, "X-Project-Id": rival}).status == 403
    assert world.events() == []


def test_roles_decide_and_projects_do_not_see_each_other(api: Open, keystone: Keystone) -> None:
    world, acme, rival = api(), keystone.ids["acme"], keystone.ids["rival"]
    member, reader = keystone.token("mary", project="acme"), keystone.token("rea", project="acme")
    stranger, admin = keystone.token("rick", project="rival"), keystone.token("root", project="operations")
    instance = world.has(project_id=acme)
    one, restart = f"/instances/{instance.id}", {"restart": {}}

    assert [status(world, acme, each, "GET", one) for each in (member, reader)] == [200, 200]
    assert ask(world, acme, reader, "POST", f"{one}/action", body=restart).status == 403
    # The URL of another project is refused; in one's own its things are not there.
    assert [status(world, acme, each, "GET", one) for each in (stranger, admin)] == [403, 403]
    assert status(world, rival, stranger, "GET", one) == 404
    assert ask(world, rival, stranger, "GET", "/instances").body == {"instances": []}
    # An administrator manages from his own project; nobody else does.
    operations = keystone.ids["operations"]
    assert status(world, operations, admin, "GET", f"/mgmt{one}") == 200
    assert status(world, acme, member, "GET", f"/mgmt{one}") == 403
    assert world.events() == []


def test_events_name_keystones_user_and_nobody_passes_the_token_on(
    api: Open, keystone: Keystone, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    world, acme = api(), keystone.ids["acme"]
    taskmanager = world.start_taskmanager()
    token = keystone.token("mary", project="acme")
    instance = world.has(project_id=acme)

    assert (
        ask(world, acme, token, "POST", f"/instances/{instance.id}/action", body={"restart": {}}).status
        == 202
    )

    (start,) = world.events()
    assert (start.payload["tenant_id"], start.context["user_id"]) == (acme, keystone.ids["mary"])
    (cast,) = taskmanager.notes.casts(1)
    assert (cast.context.user_id, cast.context.project_id) == (keystone.ids["mary"], acme)
    assert "member" in cast.context.roles
    told = [repr(start), repr(cast.context.to_dict()), repr(vars(cast.context)), caplog.text]
    secrets = (token, keystone.passwords["mary"], keystone.passwords["coffer"])
    assert not [each for each in told for secret in secrets if secret in each]


@pytest.mark.parametrize(
    ("scope", "what"),
    [
        (None, "nothing"),
        ({"system": {"all": True}}, "the whole system"),
        ({"domain": {"id": "default"}}, "a domain"),
    ],
)
def test_a_token_for_no_project_is_told_so(api: Open, keystone: Keystone, scope: Any, what: str) -> None:
    world = api()
    keystone.grant("/system", "root", "admin")
    keystone.grant("/domains/default", "root", "admin")

    reply = ask(world, keystone.ids["operations"], keystone.token("root", scope=scope))

    assert (reply.status, reply.title) == (403, "forbidden")
    assert f"for {what}, not for a project" in reply.message


def test_a_credential_opens_what_its_rules_name(api: Open, keystone: Keystone) -> None:
    world, acme = api(include_service_catalog=False), keystone.ids["acme"]
    rule = {"service": "database", "method": "GET", "path": "/v1.0/*/flavors"}
    with keystone.catalogued("database", "http://127.0.0.1:9/v1.0/%(tenant_id)s"):
        token = keystone.credential_token(keystone.credential("mary", "acme", access_rules=[rule]))

        for _ in range(2):
            assert status(world, acme, token, "GET", "/flavors") == 200
        assert_challenged(ask(world, acme, token, "GET", "/instances"), keystone)


# --- when a token ends ----------------------------------------------------------------------------


def test_an_expired_token_is_worth_nothing_however_lately_it_was_seen(api: Open, keystone: Keystone) -> None:
    world, acme = api(), keystone.ids["acme"]
    end = datetime.now(UTC) + timedelta(seconds=8)
    token = keystone.credential_token(keystone.credential("mary", "acme", expires_at=in_iso(end)))
    assert status(world, acme, token) == 200

    wait_for(lambda: status(world, acme, token) == 401, FOR_EVER_S, "the end of the token", poll_s=0.1)

    assert datetime.now(UTC) >= end - timedelta(seconds=1)
    assert_challenged(ask(world, acme, token), keystone)


def test_a_revoked_token_is_worth_nothing_once_keystone_is_asked_again(api: Open, keystone: Keystone) -> None:
    remembering, asking, acme = api(), api(token_cache_time=-1), keystone.ids["acme"]
    token = keystone.token("mary", project="acme")
    assert [status(world, acme, token) for world in (remembering, asking)] == [200, 200]

    keystone.revoke(token)

    assert_challenged(ask(asking, acme, token), keystone)
    # As documented: for token_cache_time nobody asks.
    assert status(remembering, acme, token) == 200


# --- when Keystone is away ------------------------------------------------------------------------


def test_without_keystone_those_go_on_who_were_seen_lately(api: Open, keystone: Keystone) -> None:
    world, acme = api(http_connect_timeout=3), keystone.ids["acme"]
    seen, new = (keystone.token("mary", project="acme") for _ in range(2))
    assert status(world, acme, seen) == 200

    with keystone.frozen():
        assert status(world, acme, seen) == 200
        reply = ask(world, acme, new)
        assert_challenged(ask(world, acme, None), keystone)

    assert (reply.status, reply.title) == (503, "serviceUnavailable")
    assert "retry-after" not in reply.headers
    assert status(world, acme, new) == 200


def test_a_frozen_keystone_does_not_hold_up_those_who_were_seen(api: Open, keystone: Keystone) -> None:
    world, acme = api(at_once=1, http_connect_timeout=60), keystone.ids["acme"]
    seen, *new = (keystone.token("mary", project="acme") for _ in range(3))
    assert status(world, acme, seen) == 200

    with keystone.frozen(), ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(status, world, acme, token) for token in new]
        # One of them waits for Keystone. The other is told so, and who was seen passes by both.
        done, waiting = wait(calls, FOR_EVER_S, return_when=FIRST_COMPLETED)
        assert [call.result() for call in done] == [503]
        assert status(world, acme, seen) == 200
        assert [call.done() for call in waiting] == [False]
        keystone.thaw()
        assert [call.result(FOR_EVER_S) for call in waiting] == [200]


@pytest.mark.parametrize(
    "options",
    [{"password": "not-it"}, {"auth_url": "http://127.0.0.1:9/v3"}],
    ids=["not let in ourselves", "not there"],
)
def test_what_the_operator_got_wrong_is_not_the_callers_fault(
    api: Open, keystone: Keystone, options: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    world = api(**options)

    reply = ask(world, keystone.ids["acme"], keystone.token("mary", project="acme"))

    assert (reply.status, reply.title) == (503, "serviceUnavailable")
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}]
    assert "not-it" not in caplog.text


# --- what a tenant types --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coffer(keystone: Keystone) -> Iterator[Standalone]:
    """A control plane that asks Keystone, in the catalogue as the service `database`."""
    with (
        standalone(keystone.options()) as running,
        keystone.catalogued("database", f"{running.url}/v1.0/%(tenant_id)s"),
    ):
        yield running


def test_a_tenants_day_by_password(coffer: Standalone, keystone: Keystone) -> None:
    mary, rea, root = (
        OpenStack(login=keystone.login(*who))
        for who in (("mary", "acme"), ("rea", "acme"), ("root", "operations"))
    )
    where = ("--flavor", "db.tiny", "--size", "1", "--datastore", "postgresql")
    made = mary.read("instance", "create", "books", *where)
    token = keystone.token("mary", project="acme")
    tenant = Tenant(coffer.url, keystone.ids["acme"], token=token)
    tenant.wait_for(made["id"], "ACTIVE")

    assert "HTTP 403" in rea.refused("instance", "delete", "books")
    assert [row["ID"] for row in root.read("instance", "list", "--all-projects")] == [made["id"]]
    wrong = OpenStack(login=keystone.login("mary", "acme", password="guessed"))
    assert "HTTP 401" in wrong.refused("instance", "list")
    mary.run("instance", "delete", "books")

    coffer.settle()
    events = [
        event for event in coffer.events() if event["event_type"].startswith(("dbaas", "trove.instance"))
    ]
    assert {event["payload"]["tenant_id"] for event in events} == {keystone.ids["acme"]}
    assert keystone.ids["mary"] in json.dumps(events)
    written = coffer.log_text() + json.dumps(events)
    assert not [each for each in keystone.passwords.values() if each in written]
    assert "gAAAAA" not in written
