"""The roles of a replication group: who is told what, what is announced, and what stands when a step fails."""

import pytest
from tests.functional.taskmanager.replicas import (
    act,
    die,
    eject,
    ending,
    follows,
    promote,
    replicated,
    roles,
    states,
)
from tests.support.plane import Plane
from tests.support.waiting import wait_for

from coffer.catalogue.errors import GuestFailed
from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.lifecycle.emitter import utcnow
from coffer.store import instances, runs
from coffer.taskmanager.leftovers import Leftovers

NO = GuestFailed(reason="The server does not want to.")
ACTIVE, ERROR = InstanceState.ACTIVE, InstanceState.ERROR


# --- making ---------------------------------------------------------------------------------------


def test_each_replica_is_a_run_of_its_own_with_a_bill_of_its_own(plane: Plane) -> None:
    source, *replicas = replicated(plane, 3)

    told = [event for event in plane.events() if event.payload.get("instance_id") in replicas]
    for replica in replicas:
        mine = [event for event in told if event.payload["instance_id"] == replica]
        assert [event.event_type for event in mine] == [
            "dbaas.instance_create.start",
            "dbaas.instance_create.end",
            "trove.instance.create",
        ]
        assert (mine[0].payload["replica_of"], mine[0].payload["replica_count"]) == (source, "3")
        assert mine[2].payload["instance_name"] == mine[0].payload["name"]
        assert follows(plane, replica, source)
        assert plane.server(replica).databases == ["shop"]
    assert len({event.payload["run_id"] for event in told if "run_id" in event.payload}) == 3
    assert len({event.payload["request_id"] for event in told if "request_id" in event.payload}) == 1
    assert [event.payload["name"] for event in told if event.event_type.endswith("create.start")] == [
        "copy-1",
        "copy-2",
        "copy-3",
    ]


def test_a_replica_that_cannot_be_made_ends_alone_and_its_source_forgets_it(plane: Plane) -> None:
    source = plane.active()
    plane.server(source).fails["admit_replica"] = NO
    _, body = plane.call("POST", "/instances", {"instance": {"name": "copy", "replica_of": source}})
    plane.wait_until_idle()
    plane.server(source).fails.clear()

    replica = body["instance"]["id"]
    assert states(plane, source, replica) == [ACTIVE, ERROR]
    assert plane.told()[-1] == "instance_create.error"
    assert plane.cloud.owned() == [source]
    assert plane.call("DELETE", f"/instances/{replica}")[0] == 202
    plane.wait_until_idle()
    assert plane.call("DELETE", f"/instances/{source}")[0] == 202


def test_what_the_guest_of_a_replica_fails_at_is_cleared_up_at_its_source(plane: Plane) -> None:
    source = plane.active()
    held: list[str] = []

    def fail(replica: str) -> None:
        plane.server(replica).fails["replicate"] = NO
        held.extend(plane.server(source).standing.admitted)

    plane.server(source).before["admit_replica"] = lambda: None
    create = plane.cloud.create

    def failing(spec):  # type: ignore[no-untyped-def]  # the cloud's own, with something before it
        fail(spec.instance_id)
        return create(spec)

    plane.cloud.create = failing  # type: ignore[method-assign]
    _, body = plane.call("POST", "/instances", {"instance": {"name": "copy", "replica_of": source}})
    plane.wait_until_idle()
    replica = body["instance"]["id"]
    assert (states(plane, replica), held) == ([ERROR], [replica])
    assert list(plane.server(source).standing.admitted) == [replica]

    Leftovers(plane.task, plane.guest).step()

    assert plane.server(source).standing.admitted == {}
    assert roles(plane, replica) == [None]
    assert plane.call("DELETE", f"/instances/{source}")[0] == 202


# --- promoting ------------------------------------------------------------------------------------


def test_a_promotion_swaps_the_roles_and_everybody_follows(plane: Plane) -> None:
    source, first, second = replicated(plane)
    plane.server(source).standing.lsn = 77  # written, and not yet received by anybody

    promote(plane, first)

    assert ending(plane, "instance_promote") == "end"
    assert roles(plane, source, first, second) == [first, None, first]
    assert states(plane, source, first, second) == [ACTIVE] * 3
    assert plane.server(first).standing.lsn == 77
    assert follows(plane, source, first)
    assert follows(plane, second, first)
    assert plane.event("dbaas.instance_promote.end").payload["server_type"] == "task"


def test_a_member_that_is_busy_is_named_and_nothing_moves(plane: Plane) -> None:
    source, first, second = replicated(plane)
    with plane.database.writing() as tx:
        instances.move(tx, second, None, InstanceState.BACKUP, utcnow())

    act(plane, first, "promote_to_replica_source", status=422)

    assert ending(plane, "instance_promote") == "error wrong_state user"
    assert second in str(plane.event("dbaas.instance_promote.error").payload["message"])
    assert states(plane, source, first, second) == [ACTIVE, ACTIVE, InstanceState.BACKUP]


@pytest.mark.parametrize("step", ["demote", "promote"])
def test_before_the_replica_is_a_source_every_failure_is_taken_back(plane: Plane, step: str) -> None:
    source, first, second = replicated(plane)
    plane.server(source if step == "demote" else first).fails[step] = NO

    promote(plane, first)

    assert ending(plane, "instance_promote") == "error guest_failed system"
    assert roles(plane, source, first, second) == [None, source, source]
    assert states(plane, source, first, second) == [ACTIVE] * 3
    assert plane.server(source).status is ServiceStatus.HEALTHY
    plane.server(source).fails.clear()
    plane.server(first).fails.clear()
    with plane.database.reading() as tx:
        assert runs.open_runs(tx) == []


def test_a_replica_that_does_not_receive_is_not_promoted_and_the_source_goes_on(plane: Plane) -> None:
    source, first, _ = replicated(plane)
    plane.server(source).standing.admitted.clear()

    promote(plane, first)

    assert ending(plane, "instance_promote") == "error guest_failed system"
    assert "demote" not in plane.server(source).done


def test_who_does_not_follow_afterwards_is_in_error_and_the_roles_are_as_they_are(plane: Plane) -> None:
    source, first, second = replicated(plane)
    plane.server(second).fails["follow"] = NO

    promote(plane, first)

    assert ending(plane, "instance_promote") == "error replica_not_following system"
    assert second in str(plane.event("dbaas.instance_promote.error").payload["message"])
    assert roles(plane, source, first, second) == [first, None, first]
    assert states(plane, source, first, second) == [ACTIVE, ACTIVE, ERROR]
    assert plane.instance(second).fault_message == NO.message
    assert follows(plane, source, first)

    # How its tenant puts it right, as soon as the guest can again.
    plane.server(second).fails.clear()
    wait_for(
        lambda: (
            plane.call("POST", f"/instances/{second}/action", {"reset_status": {}})[0] == 202
            and plane.instance(second).state == ACTIVE
        ),
        10,
        "the replica to be usable",
    )
    act(plane, second, "restart")
    assert follows(plane, second, first)


def test_a_silent_guest_of_the_source_ends_it_and_everything_stays(plane: Plane) -> None:
    source, first, second = replicated(plane)
    plane.launcher.stop(source)

    promote(plane, first)

    assert ending(plane, "instance_promote") == "error guest_unreachable system"
    assert roles(plane, source, first, second) == [None, source, source]
    assert states(plane, source, first, second) == [ACTIVE] * 3
    assert "demote" not in plane.server(source).done


def test_a_reset_in_the_middle_gives_the_source_back(plane: Plane) -> None:
    """A member's reset ends the run of the group: nobody else could let go of it."""
    source, first, second = replicated(plane)
    plane.server(source).before["demote"] = lambda: plane.call(
        "POST", f"/instances/{second}/action", {"reset_status": {}}
    )

    promote(plane, first)

    assert ending(plane, "instance_promote") == "error reset user"
    wait_for(lambda: plane.server(source).status is ServiceStatus.HEALTHY, 10, "the source to be back")
    assert roles(plane, source, first, second) == [None, source, source]
    assert states(plane, source, first, second) == [ACTIVE] * 3
    assert "promote" not in plane.server(first).done


# --- ejecting -------------------------------------------------------------------------------------


def test_the_replica_that_has_most_takes_the_place_of_a_dead_source(plane: Plane) -> None:
    source, first, second = replicated(plane)
    die(plane, source)
    plane.server(second).standing.lsn = 5

    eject(plane, source)

    assert ending(plane, "instance_eject") == "end"
    assert roles(plane, source, first, second) == [None, second, None]
    assert states(plane, source, first, second) == [ACTIVE] * 3
    assert follows(plane, first, second)
    assert "demote" in plane.server(source).done
    assert plane.call("DELETE", f"/instances/{source}")[0] == 202
    plane.wait_until_idle()


def test_a_source_that_is_silent_is_ejected_too(plane: Plane) -> None:
    source, first, second = replicated(plane)
    plane.launcher.stop(source)
    with plane.database.writing() as tx:
        instances.update(tx, source, utcnow(), service_seen_at=None, state=ERROR)

    eject(plane, source)

    assert ending(plane, "instance_eject") == "end"
    assert sorted(str(each) for each in roles(plane, first, second)) in (
        sorted(["None", first]),
        sorted(["None", second]),
    )
    assert states(plane, source, first, second) == [ACTIVE] * 3


def test_a_broken_replica_is_taken_along_and_a_restart_repairs_it(plane: Plane) -> None:
    source, first, second = replicated(plane)
    die(plane, source)
    plane.server(first).status = ServiceStatus.CRASHED
    with plane.database.writing() as tx:
        instances.move(tx, first, None, InstanceState.RESTART_REQUIRED, utcnow())
    plane.server(first).fails["follow"] = NO

    eject(plane, source)

    assert ending(plane, "instance_eject") == "end"
    assert roles(plane, source, first, second) == [None, second, None]
    assert states(plane, source, first, second) == [ACTIVE, InstanceState.RESTART_REQUIRED, ACTIVE]
    plane.server(first).fails.clear()
    act(plane, first, "restart")
    assert follows(plane, first, second)


def test_without_a_replica_that_answers_nothing_changes(plane: Plane) -> None:
    source, first, second = replicated(plane)
    die(plane, source)
    for replica in (first, second):
        plane.server(replica).status = ServiceStatus.CRASHED

    eject(plane, source)

    assert ending(plane, "instance_eject") == "error guest_failed system"
    assert roles(plane, source, first, second) == [None, source, source]
    assert states(plane, source, first, second) == [ACTIVE] * 3


def test_who_does_not_follow_after_an_ejection_is_in_error(plane: Plane) -> None:
    source, first, second = replicated(plane)
    die(plane, source)
    plane.server(second).standing.lsn = 5
    plane.server(first).fails["follow"] = NO

    eject(plane, source)

    assert ending(plane, "instance_eject") == "error replica_not_following system"
    assert roles(plane, source, first, second) == [None, second, None]
    assert states(plane, source, first, second) == [ACTIVE, ERROR, ACTIVE]


# --- detaching and deleting -----------------------------------------------------------------------


def test_a_detached_replica_stands_alone_and_its_source_forgets_it(plane: Plane) -> None:
    source, first, second = replicated(plane)

    status, _ = plane.call("PUT", f"/instances/{first}", {"instance": {"replica_of": None}})
    assert status == 202
    plane.wait_until_idle()

    assert ending(plane, "instance_detach") == "end"
    assert roles(plane, first, second) == [None, source]
    assert states(plane, source, first, second) == [ACTIVE] * 3
    assert plane.server(first).standing.follows is None
    assert list(plane.server(source).standing.admitted) == [second]


def test_a_replica_is_detached_from_a_source_that_is_dead(plane: Plane) -> None:
    source, first, _ = replicated(plane)
    plane.launcher.stop(source)

    plane.call("PUT", f"/instances/{first}", {"instance": {"replica_of": None}})
    plane.wait_until_idle()

    assert ending(plane, "instance_detach") == "end"
    assert roles(plane, first) == [None]


def test_a_detachment_that_fails_leaves_a_replica(plane: Plane) -> None:
    source, first, _ = replicated(plane)
    plane.server(first).fails["detach"] = NO

    plane.call("PUT", f"/instances/{first}", {"instance": {"replica_of": None}})
    plane.wait_until_idle()

    assert ending(plane, "instance_detach") == "error guest_failed system"
    assert (roles(plane, first), states(plane, first)) == ([source], [ACTIVE])


def test_what_is_detached_although_it_was_given_up_is_no_replica_any_more(plane: Plane) -> None:
    source, first, _ = replicated(plane)
    plane.server(first).before["detach"] = lambda: plane.call(
        "POST", f"/instances/{first}/action", {"reset_status": {}}
    )

    plane.call("PUT", f"/instances/{first}", {"instance": {"replica_of": None}})
    plane.wait_until_idle()

    assert ending(plane, "instance_detach") == "error reset user"
    wait_for(lambda: roles(plane, first) == [None], 10, "the row to say what is so")
    del source


def test_a_source_forgets_a_deleted_replica(plane: Plane) -> None:
    source, first, second = replicated(plane)

    plane.call("DELETE", f"/instances/{first}")
    plane.wait_until_idle()

    assert list(plane.server(source).standing.admitted) == [second]
    assert ending(plane, "instance_delete") == "end"
