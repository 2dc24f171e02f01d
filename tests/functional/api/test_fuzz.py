"""Whatever is sent to whatever route: an answer in Trove's form, never a 500, and no run is left open by a refusal."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.functional.api.world import PROJECT, GuestDouble, World

from coffer.api.routes import ROUTES

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
WORDS = sorted(
    [
        "instance",
        "instances",
        "databases",
        "database",
        "users",
        "user",
        "name",
        "password",
        "host",
        "restart",
        "resize",
        "flavorRef",
        "volume",
        "size",
        "type",
        "datastore",
        "version",
        "access",
        "is_public",
        "character_set",
        "collate",
        "replica_of",
        "configuration",
        "restorePoint",
        "nics",
    ]
)
keys = st.sampled_from(WORDS) | st.text(max_size=10)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
KNOWN = ["a", "it's", "a b;c", "ü", "a@b"]
names = (
    st.sampled_from(KNOWN)
    | st.text(max_size=20)
    | st.sampled_from(['a";b', "a\0", "x" * 300, "..", "pg_x", "a@b@%"])
)
database = st.fixed_dictionaries({"name": names}, optional={"character_set": scalars, "collate": scalars})
plain_database = st.fixed_dictionaries({"name": names})
user = st.fixed_dictionaries(
    {"name": names, "password": names | st.text(min_size=1)},
    optional={"host": st.just("%") | scalars, "databases": st.lists(plain_database, max_size=2)},
)
SHAPES: dict[str, st.SearchStrategy[Any]] = {
    "/databases": st.fixed_dictionaries({"databases": st.lists(plain_database | database, max_size=3)}),
    "/users": st.fixed_dictionaries({"users": st.lists(user, max_size=3)}),
    "/action": st.fixed_dictionaries({"restart": st.just({}) | anything}),
    "/root": st.fixed_dictionaries({"password": names}),
    "{instance_id}": st.fixed_dictionaries(
        {"instance": st.fixed_dictionaries({"name": names}) | st.dictionaries(keys, anything, max_size=2)}
    ),
    "/instances": st.fixed_dictionaries(
        {
            "instance": st.fixed_dictionaries(
                {"name": names, "flavorRef": st.just("1"), "volume": st.just({"size": 1})},
                optional={
                    "databases": st.lists(plain_database, max_size=2),
                    "users": st.lists(user, max_size=2),
                    "datastore": st.just({"type": "postgresql"}) | anything,
                    "availability_zone": st.sampled_from(["nova", "there"]) | names,
                    "access": st.just({"is_public": False}) | anything,
                },
            )
        }
    ),
}
"""What each route takes, nearly right, by the end of its path."""


def bodies(path: str) -> st.SearchStrategy[bytes]:
    shape = next((shape for end, shape in SHAPES.items() if path.endswith(end)), anything)
    values = st.one_of(shape, shape, shape, anything)
    return values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60)


segments = st.one_of(names, st.sampled_from(["postgresql", "17", "1"]), st.text(max_size=20))
queries = st.text(alphabet="abclimtrke=&%0123456789@+;ü", max_size=40)


@pytest.fixture(scope="module")
def fuzzed(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, str, GuestDouble]]:
    """One world for all examples: it may fill up, it must not break."""
    path = tmp_path_factory.mktemp("fuzz") / "coffer.db"
    path.write_bytes(sqlite_template.read_bytes())
    with World(f"sqlite:///{path}") as world:
        world.start_taskmanager()
        instance = world.has()
        guest = GuestDouble(databases=KNOWN, users=dict.fromkeys(KNOWN, KNOWN))
        yield world, instance.id, world.start_guest(instance.id, guest)


@pytest.mark.parametrize(
    "route", ROUTES, ids=lambda route: f"{route.method} {route.path} {route.action or ''}"
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_request_breaks_a_route(
    fuzzed: tuple[World, str, GuestDouble], route: Any, data: st.DataObject
) -> None:
    world, instance_id, _ = fuzzed
    path = route.path.replace(
        "{instance_id}", instance_id if data.draw(st.integers(0, 9)) else data.draw(segments)
    )
    while "{" in path:
        before, _, rest = path.partition("{")
        path = before + data.draw(segments).replace("{", "") + rest.partition("}")[2]
    body = data.draw(bodies(route.path)) if route.method in {"POST", "PUT", "PATCH"} else None
    with world.database.writing() as tx:
        # An earlier example may have restarted or deleted it.
        world.make_usable(tx, instance_id)

    reply = send(world, route.method, path, data.draw(queries), body)

    assert reply.status_code != 500, reply.content
    if reply.status_code >= 400:
        ((_, error),) = reply.json.items()
        assert error.keys() == {"code", "message"}
        assert error["code"] == reply.status_code
        assert error["message"]
        request_id = reply.headers["x-openstack-request-id"]
        assert request_id not in {run.request_id for run in world.open_runs()}


def send(world: World, method: str, path: str, query: str, body: bytes | None) -> Any:
    """Send raw bytes under a raw path, as a hostile client can: the server has decoded the path to latin-1."""
    environ_path = f"/v1.0/{PROJECT}{path}".encode("utf-8", "surrogatepass").decode("latin-1")
    return world.client.simulate_request(
        method,
        "/",
        body=body,
        headers={"Content-Type": "application/json", "Host": "localhost"},
        extras={
            "REMOTE_ADDR": "127.0.0.1",
            "PATH_INFO": environ_path,
            "QUERY_STRING": query.encode("utf-8").decode("latin-1"),
        },
    )
