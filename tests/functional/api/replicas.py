"""What the tests of replicas ask of the API, and a group to ask it of."""

from datetime import timedelta
from typing import Any

from tests.functional.api.world import PROJECT, World

from coffer.catalogue.resources import Resource
from coffer.lifecycle.emitter import utcnow
from coffer.store import quotas
from coffer.store.instances import Instance


def replicate(world: World, source: Instance | str, **fields: Any) -> Any:
    wanted = source if isinstance(source, str) else source.id
    return world.call("POST", "/instances", {"instance": {"name": "copy", "replica_of": wanted, **fields}})


def act(world: World, instance: Instance, action: str) -> Any:
    return world.call("POST", f"/instances/{instance.id}/action", {action: {}})


def group(world: World, replicas: int = 2, **source: Any) -> list[Instance]:
    """Put a source and its replicas into the database."""
    first = world.has(**source)
    now = utcnow()
    return [
        first,
        *(
            world.has(replica_of=first.id, launched_at=now, created_at=now + timedelta(seconds=number))
            for number in range(replicas)
        ),
    ]


def limit(world: World, **limits: int) -> None:
    with world.database.writing() as tx:
        quotas.set_limits(tx, PROJECT, {Resource(name): amount for name, amount in limits.items()}, utcnow())


def only_error(world: World) -> dict[str, Any]:
    """The payload of the error of the only run, which began and ended."""
    start, ended = world.events()
    assert start.event_type.endswith(".start")
    assert ended.event_type == start.event_type.replace(".start", ".error")
    assert ended.severity == "error"
    assert world.open_runs() == []
    return dict(ended.payload)
