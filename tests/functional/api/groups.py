"""Configuration groups as tests of the API make and change them."""

import uuid
from typing import Any

from tests.functional.api.world import GuestDouble, Reply, World

MISSING = str(uuid.uuid4())


def create(world: World, name: str = "fast", **changes: Any) -> Reply:
    asked = {
        "name": name,
        "values": {"work_mem": "4MB"},
        "datastore": {"type": "postgresql", "version": "17"},
    }
    return world.call("POST", "/configurations", {"configuration": {**asked, **changes}})


def made(world: World, **values: object) -> str:
    reply = create(world, values=values or {"work_mem": "4MB"})
    assert reply.status == 200, reply.body
    return str(reply.body["configuration"]["id"])


def put(world: World, instance_id: str, change: object) -> Reply:
    return world.call("PUT", f"/instances/{instance_id}", {"instance": change})


def change(world: World, method: str, group_id: str, **body: object) -> Reply:
    return world.call(method, f"/configurations/{group_id}", {"configuration": body})


def applied(guest: GuestDouble) -> list[Any]:
    return [cast.args["parameters"] for cast in guest.notes._casts if cast.method == "apply_configuration"]


def guest(world: World, instance_id: str, **answers: Any) -> GuestDouble:
    return world.start_guest(instance_id, GuestDouble(answers=answers))
