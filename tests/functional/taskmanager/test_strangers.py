"""A source forgets who does not follow it any more, however that came about."""

from tests.functional.taskmanager.replicas import act, die, eject, replicated, roles
from tests.support.plane import Plane
from tests.support.waiting import wait_for

from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.lifecycle.emitter import utcnow
from coffer.store import instances
from coffer.taskmanager.leftovers import Strangers
from coffer.wire.context import TroveContext
from coffer.wire.guest_client import GuestClient
from coffer.wire.json import JSON


def go_round(plane: Plane) -> None:
    """Let the chore see to everybody once."""
    chore = Strangers(plane.task, plane.guest)
    for _ in range(len(chore.find())):
        chore.step()


def admitted(plane: Plane, instance_id: str) -> list[str]:
    return sorted(plane.server(instance_id).standing.admitted)


def serves(plane: Plane, instance_id: str) -> None:
    """Wait until a server is known to serve."""

    def heard() -> bool:
        row = plane.instance(instance_id)
        return row.service_status is ServiceStatus.HEALTHY and row.state is InstanceState.ACTIVE

    wait_for(heard, 10, "the server to be known to serve")


def test_an_ejected_source_that_stands_alone_keeps_nothing_for_who_left_it(plane: Plane) -> None:
    source, first, second = replicated(plane)
    die(plane, source)
    eject(plane, source)
    act(plane, source, "restart")
    serves(plane, source)
    new, other = (first, second) if roles(plane, first) == [None] else (second, first)
    assert admitted(plane, source) == sorted([first, second])

    go_round(plane)

    assert admitted(plane, source) == []
    assert admitted(plane, new) == [other]


def test_a_source_that_was_away_forgets_who_was_detached_or_deleted_meanwhile(plane: Plane) -> None:
    source, first, second, third = replicated(plane, 3)
    plane.launcher.stop(source)
    plane.call("PUT", f"/instances/{first}", {"instance": {"replica_of": None}})
    plane.call("DELETE", f"/instances/{second}")
    plane.wait_until_idle()
    plane.cloud.start_guests([source])
    serves(plane, source)
    assert admitted(plane, source) == sorted([first, second, third])

    go_round(plane)

    assert admitted(plane, source) == [third]


def test_a_replica_that_is_made_meanwhile_is_kept(plane: Plane) -> None:
    source, first = replicated(plane, 1)
    serves(plane, source)
    made: list[str] = []

    def guest(instance_id: str) -> GuestClient:
        client = plane.guest(instance_id)
        ask = client.replication

        def late(ctx: TroveContext) -> dict[str, JSON]:
            _, body = plane.call("POST", "/instances", {"instance": {"name": "late", "replica_of": source}})
            made.append(body["instance"]["id"])
            plane.wait_until_idle()
            return ask(ctx)

        client.replication = late  # type: ignore[method-assign]  # the client's own, with something before it
        return client

    Strangers(plane.task, guest).step()

    assert admitted(plane, source) == sorted([first, *made])
    assert len(made) == 1


def test_a_group_that_is_busy_is_left_alone_and_so_is_an_old_agent(plane: Plane) -> None:
    source, first = replicated(plane, 1)
    serves(plane, source)
    stranger = "0" * 32
    plane.server(source).standing.admitted[stranger] = "secret"

    def old(instance_id: str) -> GuestClient:
        client = plane.guest(instance_id)
        client.replication = lambda ctx: {"role": "source", "lsn": 1}  # type: ignore[method-assign]
        return client

    Strangers(plane.task, old).step()
    assert stranger in admitted(plane, source)

    chore = Strangers(plane.task, plane.guest)
    (found,) = chore.find()
    with plane.database.writing() as tx:
        instances.move(tx, source, None, InstanceState.PROMOTE, utcnow())
    chore.see_to(found)
    assert stranger in admitted(plane, source)
    assert chore.find() == []

    with plane.database.writing() as tx:
        instances.move(tx, source, None, InstanceState.ACTIVE, utcnow())
    go_round(plane)
    assert admitted(plane, source) == [first]
