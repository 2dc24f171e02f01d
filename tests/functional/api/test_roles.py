"""What the API does about the roles of a group: promote, eject, detach, delete, reset; nobody carries it out."""

from datetime import timedelta
from typing import Any

import pytest
from tests.functional.api.replicas import act, group, only_error, replicate
from tests.functional.api.world import World

from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.lifecycle.emitter import utcnow
from coffer.store import instances

STATES = InstanceState


# --- promote --------------------------------------------------------------------------------------


def test_a_promotion_holds_the_whole_group_until_it_is_over(world: World) -> None:
    taskmanager = world.start_taskmanager()
    source, first, second = group(world)
    stranger = world.has()

    assert act(world, first, "promote_to_replica_source").status == 202

    (cast,) = taskmanager.notes.casts(1)
    assert (cast.method, cast.args) == ("promote_instance", {"instance_id": first.id})
    assert [world.row(each.id).state for each in (source, first, second)] == [STATES.PROMOTE] * 3
    assert world.row(stranger.id).state == STATES.ACTIVE
    (start,) = world.events()
    assert start.event_type == "dbaas.instance_promote.start"
    assert start.payload["instance_id"] == first.id
    # Of two at once one wins; and nothing else is done to anybody of the group.
    assert act(world, second, "promote_to_replica_source").status == 422
    assert act(world, source, "restart").status == 422
    assert world.call("DELETE", f"/instances/{second.id}").status == 422
    assert replicate(world, source).status == 422
    assert world.row(second.id).state == STATES.PROMOTE


def test_when_nobody_takes_a_promotion_the_group_is_free_again(world: World) -> None:
    members = group(world)

    assert act(world, members[1], "promote_to_replica_source").status == 503

    assert [world.row(each.id).state for each in members] == [STATES.ACTIVE] * 3
    assert only_error(world)["fault"] == "system"


def test_what_is_no_replica_is_not_promoted(world: World) -> None:
    source, _ = group(world, 1)

    assert act(world, source, "promote_to_replica_source").status == 400

    error = only_error(world)
    assert (error["error_code"], error["fault"]) == ("not_replica", "user")
    assert world.row(source.id).state == STATES.ACTIVE


@pytest.mark.parametrize("who", [0, 1, 2])
def test_everybody_of_the_group_must_be_able_to_take_part(world: World, who: int) -> None:
    members = group(world)
    with world.database.writing() as tx:
        instances.update(tx, members[who].id, utcnow(), state=STATES.ERROR)

    reply = act(world, members[1], "promote_to_replica_source")

    assert reply.status == 422
    assert members[who].id in reply.message
    assert only_error(world)["error_code"] == "wrong_state"
    states = [world.row(each.id).state for each in members]
    assert states == [STATES.ERROR if number == who else STATES.ACTIVE for number in range(3)]


# --- eject ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        {"service_status": ServiceStatus.CRASHED},
        {"service_status": ServiceStatus.SHUTDOWN},
        {"service_seen_at": utcnow() - timedelta(hours=1)},
        {"service_seen_at": None},
        {"state": STATES.ERROR, "service_status": ServiceStatus.CRASHED},
    ],
)
def test_a_dead_source_can_be_ejected(world: World, source: dict[str, Any]) -> None:
    taskmanager = world.start_taskmanager()
    members = group(world, **source)

    assert act(world, members[0], "eject_replica_source").status == 202

    (cast,) = taskmanager.notes.casts(1)
    assert (cast.method, cast.args) == ("eject_instance", {"instance_id": members[0].id})
    assert [world.row(each.id).state for each in members] == [STATES.EJECT] * 3
    (start,) = world.events()
    assert start.event_type == "dbaas.instance_eject.start"
    assert start.payload["instance_id"] == members[0].id


def test_a_living_source_is_not_ejected(world: World) -> None:
    members = group(world)

    assert act(world, members[0], "eject_replica_source").status == 400

    error = only_error(world)
    assert (error["error_code"], error["fault"]) == ("source_alive", "user")
    assert [world.row(each.id).state for each in members] == [STATES.ACTIVE] * 3


@pytest.mark.parametrize("what", ["alone", "replica"])
def test_what_has_no_replicas_is_not_ejected(world: World, what: str) -> None:
    _, replica = group(world, 1)
    instance = replica if what == "replica" else world.has(service_status=ServiceStatus.CRASHED)

    assert act(world, instance, "eject_replica_source").status == 400
    assert only_error(world)["error_code"] == "no_replicas"


def test_an_ejection_waits_for_a_replica_that_is_busy(world: World) -> None:
    source = world.has(service_status=ServiceStatus.CRASHED)
    busy = world.has(replica_of=source.id, launched_at=utcnow(), state=STATES.RESIZE)
    idle = world.has(replica_of=source.id, launched_at=utcnow())

    reply = act(world, source, "eject_replica_source")

    assert reply.status == 422
    assert busy.id in reply.message
    assert [world.row(each.id).state for each in (source, idle)] == [STATES.ACTIVE] * 2


def test_an_ejection_needs_a_replica_that_can_take_the_place(world: World) -> None:
    source = world.has(service_status=ServiceStatus.CRASHED)
    world.has(replica_of=source.id, launched_at=utcnow(), state=STATES.ERROR)

    assert act(world, source, "eject_replica_source").status == 422
    assert only_error(world)["error_code"] == "wrong_state"


# --- detach ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("field", ["replica_of", "slave_of"])
def test_a_replica_is_detached(world: World, method: str, field: str) -> None:
    taskmanager = world.start_taskmanager()
    source, replica = group(world, 1)

    reply = world.call(method, f"/instances/{replica.id}", {"instance": {field: None, "name": "on its own"}})

    assert reply.status == 202
    (cast,) = taskmanager.notes.casts(1)
    assert (cast.method, cast.args) == ("detach_instance", {"instance_id": replica.id})
    row = world.row(replica.id)
    assert (row.state, row.name, row.replica_of) == (STATES.DETACH, "on its own", source.id)
    (start,) = world.events()
    assert (start.event_type, start.payload["instance_id"]) == ("dbaas.instance_detach.start", replica.id)


def test_what_is_no_replica_is_not_detached(world: World) -> None:
    instance = world.has()

    reply = world.call("PUT", f"/instances/{instance.id}", {"instance": {"replica_of": None, "name": "new"}})

    assert reply.status == 400
    assert only_error(world)["error_code"] == "not_replica"
    assert world.row(instance.id) == instance


@pytest.mark.parametrize("change", [{"replica_of": "x"}, {"replica_of": None, "configuration": None}])
def test_an_instance_does_not_become_a_replica_later(world: World, change: dict[str, Any]) -> None:
    instance = world.has()

    assert world.call("PUT", f"/instances/{instance.id}", {"instance": change}).status == 400
    assert world.events() == []


# --- what else is done to a group -----------------------------------------------------------------


@pytest.mark.parametrize("state", [STATES.ACTIVE, STATES.BUILD, STATES.ERROR])
def test_a_source_is_not_deleted_while_it_has_replicas(world: World, state: InstanceState) -> None:
    source = world.has()
    world.has(replica_of=source.id, state=state)

    assert world.call("DELETE", f"/instances/{source.id}").status == 403

    error = only_error(world)
    assert (error["error_code"], error["fault"]) == ("has_replicas", "user")
    assert world.row(source.id).state == STATES.ACTIVE


def test_a_replica_is_deleted_like_any_instance(world: World) -> None:
    taskmanager = world.start_taskmanager()
    _, replica = group(world, 1)

    assert world.call("DELETE", f"/instances/{replica.id}").status == 202
    (cast,) = taskmanager.notes.casts(1)
    assert cast.method == "delete_instance"


# --- reset ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "during"),
    [("promote_to_replica_source", STATES.PROMOTE), ("eject_replica_source", STATES.EJECT)],
)
@pytest.mark.parametrize("who", [0, 1, 2])
def test_a_reset_of_any_member_frees_the_group(
    world: World, action: str, during: InstanceState, who: int
) -> None:
    world.start_taskmanager()
    dead: dict[str, Any] = {"service_status": ServiceStatus.CRASHED} if during == STATES.EJECT else {}
    members = group(world, **dead)
    assert act(world, members[0 if during == STATES.EJECT else 1], action).status == 202
    assert {world.row(each.id).state for each in members} == {during}

    assert act(world, members[who], "reset_status").status == 202

    assert [world.row(each.id).state for each in members] == [STATES.ACTIVE] * 3
    assert only_error(world)["error_code"] == "reset"
