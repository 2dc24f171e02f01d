"""Callers, addresses and rules."""

import os
from pathlib import Path

import pytest
from oslo_config import cfg

from coffer.api.auth import NoAuth
from coffer.api.context import client_address
from coffer.api.policy import REMEMBERED_S, Policy
from coffer.api.routes import PROJECT, ROUTES, guards
from coffer.api.unbuilt import missing_calls
from coffer.catalogue.errors import Forbidden
from coffer.catalogue.operations import OPERATIONS
from coffer.wire.context import TroveContext


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({"REMOTE_ADDR": "10.0.0.1", "REMOTE_PORT": "4000"}, "10.0.0.1:4000"),
        ({"REMOTE_ADDR": "::1", "REMOTE_PORT": "4000"}, "[::1]:4000"),
        ({"REMOTE_ADDR": "10.0.0.1"}, "10.0.0.1:0"),
        ({"REMOTE_ADDR": "", "REMOTE_PORT": ""}, "unknown:0"),
        ({"REMOTE_ADDR": "10.0.0.1", "REMOTE_PORT": "1", "HTTP_X_FORWARDED_FOR": "6.6.6.6"}, "10.0.0.1:1"),
    ],
)
def test_the_clients_address_is_the_sockets(environ: dict[str, str], address: str) -> None:
    assert client_address(environ) == address


@pytest.mark.parametrize("remote", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_every_form_of_the_loopback_is_served(remote: str) -> None:
    environ = {"REMOTE_ADDR": remote, "HTTP_HOST": "localhost"}
    assert NoAuth().identify(environ, "p").project_id == "p"


def context(*roles: str) -> TroveContext:
    return TroveContext(project_id="p", user_id="u", roles=list(roles), overwrite=False)


READS = sorted({route.rule for route in ROUTES if route.method == "GET" and route.needs is None})
CHANGES = sorted({route.rule for route in ROUTES if route.method != "GET" and route.needs is None})
ADMINISTRATION = sorted({route.rule for route in ROUTES if route.needs is not None})


@pytest.mark.parametrize(
    ("roles", "may_look", "may_change"),
    [
        ((), False, False),
        (("stranger",), False, False),
        (("reader",), True, False),
        (("member",), True, True),
        (("admin",), True, True),
    ],
)
def test_readers_look_and_members_change(roles: tuple[str, ...], may_look: bool, may_change: bool) -> None:
    policy = Policy(guards())

    assert {policy.allows(rule, context(*roles)) for rule in READS} == {may_look}
    assert {policy.allows(rule, context(*roles)) for rule in CHANGES} == {may_change}


def test_what_needs_an_administrator_is_for_nobody_else() -> None:
    policy = Policy(guards())

    assert "quota:update" in ADMINISTRATION
    assert {policy.allows(rule, context("member", "reader")) for rule in ADMINISTRATION} == {False}
    assert {policy.allows(rule, context("admin")) for rule in ADMINISTRATION} == {True}


def test_a_refusal_names_the_rule() -> None:
    with pytest.raises(Forbidden, match="instance:delete"):
        Policy(guards()).require("instance:delete", context())


def test_every_route_stands_once_and_has_a_rule_of_its_own() -> None:
    calls = [(route.method, route.path, route.action) for route in ROUTES]
    rules = [route.rule for route in ROUTES]

    assert len(set(calls)) == len(calls)
    assert len(set(rules)) == len(rules)


def test_every_built_operation_is_routed_where_the_client_sends_it() -> None:
    routed = {
        operation: f"{route.method} {PROJECT}{route.path}"
        for route in ROUTES
        for operation in (route.operation, *route.also)
        if operation
    }

    assert routed == {operation.name: operation.rest for operation in OPERATIONS.values() if operation.built}


def test_no_missing_call_is_served() -> None:
    served = {(route.method, route.path) for route in ROUTES}
    missing = [(each.method, each.path) for each in missing_calls()]

    assert not served & set(missing)
    assert len(set(missing)) == len(missing)


def test_a_changed_policy_file_is_noticed(tmp_path: Path) -> None:
    now_s = 0.0
    (tmp_path / "policy.yaml").write_text('"limits:index": "!"\n')
    (tmp_path / "coffer.conf").write_text("[oslo_policy]\npolicy_file = policy.yaml\n")
    conf = cfg.ConfigOpts()
    conf([], project="coffer", default_config_files=[str(tmp_path / "coffer.conf")], default_config_dirs=[])
    policy = Policy(guards(), conf, clock=lambda: now_s)

    assert not policy.allows("limits:index", context("member"))
    assert policy.allows("flavor:index", context("member"))

    (tmp_path / "policy.yaml").write_text('"limits:index": "@"\n')
    later = (tmp_path / "policy.yaml").stat().st_mtime + 5
    os.utime(tmp_path / "policy.yaml", (later, later))
    now_s += REMEMBERED_S
    assert policy.allows("limits:index", context("member"))
