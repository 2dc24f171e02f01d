"""What is done to a control plane so that it announces each event once at least: every operation well, and badly.

Each scene has a control plane of its own, and no scene depends on another. Of an event that is announced several
times the first one becomes the sample. A new operation is a new scene, or some lines in the one of its noun.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.plane import Plane
from tests.support.waiting import wait_for

from coffer.catalogue.errors import GuestFailed
from coffer.catalogue.states import ServiceStatus
from coffer.clouds.local.flavors import DEFAULT_FLAVORS

NO_CONNECTIONS = GuestFailed(reason="The server does not take connections.")


@dataclass(frozen=True, slots=True)
class Scene:
    """Something that happens to a control plane whose disk keeps `min_free_gib` free."""

    play: Callable[[Plane], None]
    min_free_gib: float = 0.0


def do(plane: Plane, method: str, path: str, body: object = None) -> Any:
    """Make a call, wait until its runs have ended, however, and return what it was answered."""
    before = len(plane.events())
    _, answer = plane.call(method, path, body)
    wait_for(lambda: len(plane.events()) > before, 20, f"{method} {path} to be announced")
    plane.wait_until_idle()
    return answer


def an_instance(plane: Plane) -> str:
    """Make an instance and return its path."""
    instance_id = plane.active(
        databases=[{"name": "shop"}],
        users=[{"name": "alice", "password": "tiger", "databases": [{"name": "shop"}]}],
        availability_zone="nova",
    )
    return f"/instances/{instance_id}"


def server_of(plane: Plane, instance: str) -> Any:
    """Return the database server of the instance with this path."""
    return plane.server(instance.rpartition("/")[2])


def databases_and_users(plane: Plane) -> None:
    instance = an_instance(plane)
    for _ in range(2):  # the second time what is to be made is there already
        do(plane, "POST", f"{instance}/databases", {"databases": [{"name": "orders"}]})
        do(plane, "POST", f"{instance}/users", {"users": [{"name": "bob", "password": "tiger"}]})
    for _ in range(2):  # the second time what is to be deleted is gone already
        do(plane, "DELETE", f"{instance}/databases/orders")
        do(plane, "DELETE", f"{instance}/users/bob")


def changes_of_users(plane: Plane) -> None:
    instance = an_instance(plane)
    do(plane, "POST", f"{instance}/databases", {"databases": [{"name": "orders"}]})
    for database in ("orders", "missing"):
        do(plane, "PUT", f"{instance}/users/alice/databases", {"databases": [{"name": database}]})
    for _ in range(2):  # the second time he is kept out already
        do(plane, "DELETE", f"{instance}/users/alice/databases/orders")
    for name in ("alice", "nobody"):
        do(plane, "PUT", f"{instance}/users", {"users": [{"name": name, "password": "tiger"}]})
    for _ in range(2):  # the second time nobody has the old name
        do(plane, "PUT", f"{instance}/users/alice", {"user": {"name": "carol", "password": "tiger"}})


def restarts_and_deletions(plane: Plane) -> None:
    instance = an_instance(plane)
    server = server_of(plane, instance)
    server.before["restart"] = lambda: plane.call("DELETE", instance)  # refused, while it restarts
    do(plane, "POST", f"{instance}/action", {"restart": {}})
    server.before.clear()
    server.fails["restart"] = NO_CONNECTIONS
    do(plane, "POST", f"{instance}/action", {"restart": {}})
    do(plane, "DELETE", instance)


def resizes(plane: Plane) -> None:
    instance = an_instance(plane)
    server = server_of(plane, instance)
    for position in (1, 2):
        do(plane, "POST", f"{instance}/action", {"resize": {"flavorRef": DEFAULT_FLAVORS[position].id}})
        do(plane, "POST", f"{instance}/action", {"resize": {"volume": {"size": position + 1}}})
        server.fails |= {"resize": NO_CONNECTIONS, "resize_volume": NO_CONNECTIONS}


def configurations(plane: Plane) -> None:
    groups, instance = "/configurations", an_instance(plane)

    def body(**fields: object) -> dict[str, object]:
        return {"configuration": fields}

    version = {"type": "postgresql", "version": "17"}
    answer = do(plane, "POST", groups, body(name="reports", values={"work_mem": "64MB"}, datastore=version))
    group_id = answer["configuration"]["id"]
    group = f"{groups}/{group_id}"
    do(plane, "POST", groups, body(name="reports", values={"work_mem": "much"}, datastore=version))
    for work_mem in ("32MB", "much"):
        do(plane, "PATCH", group, body(values={"work_mem": work_mem}))
        do(
            plane,
            "PUT",
            group,
            body(name="reports", description="For reports.", values={"work_mem": work_mem}),
        )
    for _ in range(2):  # the second time it is attached already
        do(plane, "PUT", instance, {"instance": {"configuration": group_id}})
    do(plane, "DELETE", group)  # refused, while an instance has it
    server = server_of(plane, instance)
    server.fails["apply_configuration"] = NO_CONNECTIONS
    do(plane, "PUT", instance, {"instance": {"configuration": None}})
    server.fails.clear()
    do(plane, "PUT", instance, {"instance": {"configuration": None}})
    do(plane, "DELETE", group)


def backups(plane: Plane) -> None:
    instance = an_instance(plane)
    server = server_of(plane, instance)
    asked = {"name": "nightly", "description": "Every night.", "instance": instance.rpartition("/")[2]}
    full = do(plane, "POST", "/backups", {"backup": asked})["backup"]["id"]

    def delete_the_full_one() -> None:
        plane.call("DELETE", f"/backups/{full}")

    server.before["back_up"] = delete_the_full_one  # refused, while another one is built on it
    do(plane, "POST", "/backups", {"backup": {**asked, "name": "hourly", "parent_id": full}})
    server.before.clear()
    server.fails["back_up"] = NO_CONNECTIONS
    do(plane, "POST", "/backups", {"backup": asked})
    do(plane, "DELETE", f"/backups/{full}")


def replicas(plane: Plane) -> None:
    instance = an_instance(plane)
    source_id = instance.rpartition("/")[2]
    copies = {"name": "copy", "replica_of": source_id, "replica_count": 2}
    copy_id = do(plane, "POST", "/instances", {"instance": copies})["instance"]["id"]
    copy = f"/instances/{copy_id}"
    for _ in range(2):  # the second time it is no replica any more
        do(plane, "POST", f"{copy}/action", {"promote_to_replica_source": {}})
    do(plane, "POST", f"{copy}/action", {"eject_replica_source": {}})  # refused, while it lives
    server_of(plane, copy).status = ServiceStatus.CRASHED
    wait_for(
        lambda: plane.instance(copy_id).service_status is ServiceStatus.CRASHED, 20, "the crash to be known"
    )
    do(plane, "POST", f"{copy}/action", {"eject_replica_source": {}})
    _, body = plane.call("GET", "/instances")
    (follower,) = [each["id"] for each in body["instances"] if "replica_of" in each]
    for _ in range(2):  # the second time it stands alone already
        do(plane, "PUT", f"/instances/{follower}", {"instance": {"replica_of": None}})


def no_room(plane: Plane) -> None:
    plane.create()
    plane.wait_until_idle()


SCENES = (
    Scene(databases_and_users),
    Scene(restarts_and_deletions),
    Scene(no_room, min_free_gib=10**9),
    Scene(changes_of_users),
    Scene(resizes),
    Scene(configurations),
    Scene(backups),
    Scene(replicas),
)
