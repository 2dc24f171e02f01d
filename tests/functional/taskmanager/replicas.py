"""A replication group of a control plane: made, told what to do, and looked at."""

from tests.support.plane import Plane
from tests.support.waiting import wait_for

from coffer.catalogue.states import ServiceStatus


def replicated(plane: Plane, count: int = 2) -> tuple[str, ...]:
    """Make a source and replicas; return their ids, the source's first."""
    source = plane.active(databases=[{"name": "shop"}])
    asked = {"name": "copy", "replica_of": source, "replica_count": count}
    status, body = plane.call("POST", "/instances", {"instance": asked})
    assert status == 200, body
    plane.wait_until_idle()
    _, shown = plane.call("GET", f"/instances/{source}")
    replicas = [each["id"] for each in shown["instance"]["replicas"]]
    assert len(replicas) == count
    return source, *replicas


def act(plane: Plane, instance_id: str, action: str, status: int = 202) -> None:
    assert plane.call("POST", f"/instances/{instance_id}/action", {action: {}})[0] == status
    plane.wait_until_idle()


def promote(plane: Plane, instance_id: str) -> None:
    act(plane, instance_id, "promote_to_replica_source")


def eject(plane: Plane, instance_id: str) -> None:
    act(plane, instance_id, "eject_replica_source")


def die(plane: Plane, instance_id: str) -> None:
    """Let a server crash, and everybody know."""
    plane.server(instance_id).status = ServiceStatus.CRASHED
    wait_for(
        lambda: plane.instance(instance_id).service_status is ServiceStatus.CRASHED,
        10,
        "the crash to be known",
    )


def roles(plane: Plane, *ids: str) -> list[str | None]:
    return [plane.instance(each).replica_of for each in ids]


def states(plane: Plane, *ids: str) -> list[str]:
    return [plane.instance(each).state for each in ids]


def follows(plane: Plane, replica: str, source: str) -> bool:
    """Whether a replica's server really streams from another instance's."""
    standing = plane.server(replica).standing
    port = plane.instance(source).port
    return standing.follows is not None and standing.follows.port == port


def ending(plane: Plane, operation: str) -> str:
    """The only ending of the only run of an operation: `end`, or `error code fault`."""
    told = [event for event in plane.events() if event.event_type.startswith(f"dbaas.{operation}.")]
    start, last = told
    assert start.event_type.endswith(".start")
    assert start.payload["run_id"] == last.payload["run_id"]
    phase = last.event_type.rpartition(".")[2]
    if phase == "end":
        return "end"
    assert last.severity == "error"
    return f"error {last.payload['error_code']} {last.payload['fault']}"
