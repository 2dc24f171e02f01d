"""Walks the table of operations: what is served is routed, guarded, sampled and documented; what is not says so."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.samples.produce import committed
from tests.support.plane import PROJECT, Plane
from tests.support.rows import new_instance

from coffer.api.routes import PROJECT as PROJECT_PATH
from coffer.api.routes import ROUTES, Route, guards
from coffer.catalogue.events import EVENTS, Phase
from coffer.catalogue.operations import OPERATIONS, Operation
from coffer.catalogue.states import InstanceState
from coffer.catalogue.traits import Trait, TraitType
from coffer.store import instances, migrate

ROOT = Path(__file__).parents[2]
NOTIFICATIONS = (ROOT / "docs" / "notifications.md").read_text()

SERVED = [operation for operation in OPERATIONS.values() if operation.built]
UNSERVED = [operation for operation in OPERATIONS.values() if not operation.built]
served = pytest.mark.parametrize("operation", SERVED, ids=lambda operation: operation.name)
unserved = pytest.mark.parametrize("operation", UNSERVED, ids=lambda operation: operation.name)

NO_OPERATION_OF_ITS_OWN = {
    "instance:edit": "The twin of instance:update, with the same handler: it begins what that one begins.",
    "instance:reset_status": "It ends the runs that are open, each with the event of its own operation.",
    "instance:extension:root:create": "Enabling root, which the specification does not announce.",
    "instance:extension:root:delete": "Disabling root, which the specification does not announce.",
    "mgmt:instance:reboot": "It begins an instance_restart of the project that owns the instance.",
    "mgmt:instance:reset_task_status": "See instance:reset_status.",
    "mgmt:instance:stop": "Stopping a server, which the specification does not announce.",
    "quota:update": "Setting limits; the periodic quota event tells them.",
}
"""What changes something without an operation in its row of the table, with the reason."""


def route_of(operation: Operation) -> Route:
    (route,) = [each for each in ROUTES if operation.name in {each.operation, *each.also}]
    return route


def members_of(body: str) -> list[str]:
    """Return the way into a body: the name of its only member, of that one's only member, and so on."""
    inner, names = json.loads(body.replace("…", "0")), []
    while isinstance(inner, dict) and inner:
        ((name, inner),) = inner.items()
        names.append(name)
    return names


# --- what is served -------------------------------------------------------------------------------


@served
def test_a_served_operation_has_one_route_and_it_is_the_call_of_the_client(operation: Operation) -> None:
    route = route_of(operation)

    assert f"{route.method} {PROJECT_PATH}{route.path}" == operation.rest
    if operation.name in route.also:
        assert route.action is None, "the handler chooses"
    elif operation.body:
        assert route.action is not None
        action = route.action.split(".")
        assert members_of(operation.body)[: len(action)] == action


@served
def test_a_served_operation_is_guarded(operation: Operation) -> None:
    route = route_of(operation)
    (rule,) = [guard for guard in guards() if guard.name == route.rule]

    assert rule.check == "rule:project_member"
    action = f" ({route.action})" if route.action else ""
    assert (route.method, f"{PROJECT_PATH}{route.path}{action}") in rule.calls


@served
@pytest.mark.parametrize("phase", Phase)
def test_a_served_operation_has_samples(operation: Operation, phase: Phase) -> None:
    assert f"dbaas.{operation.name}.{phase}" in committed()


@served
def test_a_served_operation_is_documented(operation: Operation) -> None:
    part = NOTIFICATIONS.partition(f"### dbaas.{operation.name}\n")[2].partition("\n### ")[0]

    assert operation.sentence in part
    assert operation.rest in part
    assert "not built yet" not in part
    for phase in Phase:
        for trait in EVENTS[f"dbaas.{operation.name}.{phase}"].all_traits:
            assert f"`{trait.name}`" in NOTIFICATIONS


def test_whatever_changes_something_is_an_operation_or_says_why_not() -> None:
    changing = {
        route.rule for route in ROUTES if route.method != "GET" and route.operation is None and not route.also
    }

    assert changing == set(NO_OPERATION_OF_ITS_OWN)


def test_every_route_has_a_rule_and_every_operation_of_a_route_is_served() -> None:
    rules = {guard.name for guard in guards()}

    assert {route.rule for route in ROUTES} <= rules
    begun = {name for route in ROUTES for name in (route.operation, *route.also) if name}
    assert begun == {each.name for each in SERVED}


# --- samples --------------------------------------------------------------------------------------


def fits(trait: Trait, value: object) -> bool:
    match trait.type:
        case TraitType.TEXT:
            return isinstance(value, str)
        case TraitType.DATETIME:
            return value == "<time>"
        case TraitType.INT:
            return type(value) is int
        case TraitType.FLOAT:
            return type(value) is float


@pytest.mark.parametrize("name", sorted(committed()))
def test_a_sample_is_as_declared(name: str) -> None:
    sample, event = committed()[name], EVENTS[name]
    declared = {trait.field: trait for trait in event.all_traits}
    payload = sample["payload"]

    assert sample["event_type"] == name
    assert sample["priority"] == event.severity.upper()
    assert payload.keys() <= declared.keys()
    assert {trait.field for trait in event.all_traits if trait.required} <= payload.keys()
    for field, value in payload.items():
        assert fits(declared[field], value), field


@served
def test_the_samples_of_an_operation_are_of_one_kind(operation: Operation) -> None:
    """Who ends it, and what identifies it, is the same in all of its samples."""
    start, end, error = (committed()[f"dbaas.{operation.name}.{phase}"] for phase in Phase)

    assert start["payload"]["server_type"] == "api"
    assert end["payload"]["server_type"] == operation.ended_by
    assert error["payload"]["fault"] in {"user", "system"}
    for ending in (end, error):
        assert ending["payload"]["tenant_id"] == start["payload"]["tenant_id"]
        assert ending["_context_request_id"] == start["_context_request_id"]


# --- what is not ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A control plane with one usable instance, of which these tests change nothing."""
    directory = tmp_path_factory.mktemp("plane")
    url = f"sqlite:///{directory / 'coffer.db'}"
    migrate.upgrade(url)
    with Plane(url, directory / "cloud") as opened:
        yield opened


@pytest.fixture(scope="module")
def instance_id(plane: Plane) -> str:
    row = new_instance(project_id=PROJECT, state=InstanceState.ACTIVE)
    with plane.database.writing() as tx:
        instances.insert(tx, row)
    return row.id


@unserved
def test_what_is_not_served_says_so_and_announces_nothing(
    plane: Plane, instance_id: str, operation: Operation
) -> None:
    method, path = operation.rest.split(" ")
    path = path.removeprefix(PROJECT_PATH).replace("{instance_id}", instance_id)
    path = re.sub(r"\{\w+\}", "x", path)
    body = json.loads(operation.body.replace("…", '"x"')) if operation.body else {}

    status, answer = plane.call(method, path, body)

    assert status == 501, answer
    assert answer["notImplemented"]["code"] == 501
    assert answer["notImplemented"]["message"].endswith("is not implemented.")
    assert plane.events() == []
    assert plane.instance(instance_id).state == InstanceState.ACTIVE


@unserved
def test_what_is_not_served_is_documented_as_such(operation: Operation) -> None:
    part = NOTIFICATIONS.partition(f"### dbaas.{operation.name}\n")[2].partition("\n### ")[0]

    assert "not built yet: the API answers 501 and announces nothing" in part
