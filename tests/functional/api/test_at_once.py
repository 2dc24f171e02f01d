"""Calls that are served where they are heard: they must wait for nothing, or nobody else is heard meanwhile."""

from dataclasses import replace
from typing import Any

import pytest
from falcon import testing
from tests.functional.api.world import PROJECT, World

from coffer.api.app import build_app
from coffer.api.at_once import AtOnce
from coffer.api.auth import Identity, NoAuth
from coffer.api.routes import PROJECT as BELOW
from coffer.api.routes import ROUTES, Route

FROM_MEMORY = [route for route in ROUTES if route.from_memory]


class Untouchable:
    """Stands where a call from memory has no business."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        raise AssertionError(f"a call from memory asks {self._name} for {attribute}")

    def __call__(self, *_: object) -> Any:
        raise AssertionError(f"a call from memory asks {self._name}")


class KnowsNobody(NoAuth):
    """An authentication that would have to ask."""

    def knows(self, environ: object) -> bool:
        return False

    def identify(self, environ: object, project_id: str) -> Identity:
        raise AssertionError("nobody asked whether the caller is known")


def environ(path: str, method: str = "GET") -> dict[str, Any]:
    return testing.create_environ(path, method=method, host="127.0.0.1", remote_addr="127.0.0.1")


def path_of(world: World, route: Route) -> str:
    """Return the route's path, its variables those of a datastore that there is."""
    datastore = next(iter(world.services.datastores))
    known = {"project_id": PROJECT, "datastore": datastore.id, "version": datastore.default_version.id}
    return (BELOW + route.path).format(**known)


@pytest.mark.parametrize("route", FROM_MEMORY, ids=lambda route: route.path)
def test_a_call_from_memory_asks_nobody(world: World, route: Route) -> None:
    far = {name: Untouchable(name) for name in ("database", "lifecycle", "taskmanager", "guest", "cloud")}
    application = build_app(replace(world.services, **far))
    path = path_of(world, route)
    assert AtOnce(NoAuth())(environ(path))
    answer = testing.TestClient(application).simulate_get(path, host="127.0.0.1", remote_addr="127.0.0.1")
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/", "/v1.0"])
def test_the_versions_need_no_caller(path: str) -> None:
    assert AtOnce(KnowsNobody())(environ(path))


def test_a_caller_who_is_not_known_is_asked_about_elsewhere(world: World) -> None:
    for route in FROM_MEMORY:
        assert not AtOnce(KnowsNobody())(environ(path_of(world, route)))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/v1.0/{PROJECT}/instances"),
        ("GET", f"/v1.0/{PROJECT}/datastores/a/b/c"),
        ("GET", f"/v1.0/{PROJECT}/datastores/x/versions/y/parameters"),
        ("GET", "/healthz"),
        ("GET", "/datastores"),
        ("POST", f"/v1.0/{PROJECT}/datastores"),
        ("DELETE", f"/v1.0/{PROJECT}/instances/datastores"),
    ],
)
def test_everything_else_is_served_by_a_thread(method: str, path: str) -> None:
    assert not AtOnce(NoAuth())(environ(path, method))


def test_only_what_looks_on_is_from_memory() -> None:
    assert {route.method for route in FROM_MEMORY} == {"GET"}
    assert not any(route.operation for route in FROM_MEMORY)
