"""Replicas when something dies in the middle: what is announced, what stands afterwards, how a tenant repairs it."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.functional.control_plane.replicating import DONE_S, Group, announced, held_up
from tests.support.control_plane import PROJECT, ControlPlane
from tests.support.waiting import wait_for

from coffer.catalogue.operations import OPERATIONS
from coffer.lifecycle import groups
from coffer.lifecycle.runs import Lifecycle
from coffer.store import runs
from coffer.taskmanager.leftovers import Leftovers
from coffer.taskmanager.resume import resumer
from coffer.wire.context import TroveContext
from coffer.wire.taskmanager_client import TaskmanagerClient


@pytest.fixture(scope="module")
def group(control: ControlPlane) -> Iterator[Group]:
    """A source and two replicas; each test leaves them serving, in whatever roles."""
    made = Group(control)
    yield made
    made.delete()


@pytest.fixture
def members(group: Group) -> tuple[str, str, str]:
    """The source and the replicas as they are now."""
    source, *replicas = sorted(group.ids, key=lambda each: group.control.row(each).replica_of is not None)
    assert group.states() == ["ACTIVE"] * 3
    first, second = replicas
    return source, first, second


def assert_all_follow(group: Group, source: str, word: str) -> None:
    """Write at the source, and find it everywhere."""
    group.add(source, word)
    group.all_get(*group.words(source))


def test_a_dead_agent_of_the_source_leaves_everything_as_it_was(
    control: ControlPlane, group: Group, members: tuple[str, str, str]
) -> None:
    source, first, _ = members
    before = group.roles()

    with group.without_agent(source), announced(control, "instance_promote") as told:
        group.act(first, "promote_to_replica_source")

    error = told[0].error
    assert (error["error_code"], error["fault"]) == ("guest_unreachable", "system")
    assert (group.roles(), group.states()) == (before, ["ACTIVE"] * 3)
    assert_all_follow(group, source, "agent-died")


def test_a_source_that_crashes_at_that_moment_is_started_again(
    control: ControlPlane, group: Group, members: tuple[str, str, str]
) -> None:
    source, first, _ = members
    before = group.roles()
    group.kill_server(source)

    with announced(control, "instance_promote") as told:
        group.act(first, "promote_to_replica_source")

    # It did not end cleanly, so nobody can say what it had not sent yet: that is for its tenant to decide (eject).
    assert (told[0].error["error_code"], told[0].error["fault"]) == ("guest_failed", "system")
    assert (group.roles(), group.states()) == (before, ["ACTIVE"] * 3)
    assert_all_follow(group, source, "source-crashed")


def test_a_dead_replica_is_not_promoted_and_the_source_goes_on(
    control: ControlPlane, group: Group, members: tuple[str, str, str]
) -> None:
    source, first, _ = members
    before = group.roles()
    started_at = control.ask(source, "select pg_postmaster_start_time()")
    group.kill_server(first)

    with announced(control, "instance_promote") as told:
        group.act(first, "promote_to_replica_source")

    assert told[0].error["fault"] == "system"
    assert (group.roles(), group.states()) == (before, ["ACTIVE"] * 3)
    assert control.ask(source, "select pg_postmaster_start_time()") == started_at
    with announced(control, "instance_restart"):
        group.act(first, "restart")
    assert_all_follow(group, source, "replica-crashed")


def test_a_sibling_that_does_not_follow_is_in_error_until_its_tenant_repairs_it(
    control: ControlPlane, group: Group, members: tuple[str, str, str]
) -> None:
    source, first, second = members

    with group.without_agent(second, timeout_s=8.0), announced(control, "instance_promote") as told:
        group.act(first, "promote_to_replica_source")

    error = told[0].error
    assert (error["error_code"], error["fault"]) == ("replica_not_following", "system")
    assert second in error["message"]
    assert [control.row(each).replica_of for each in (source, first, second)] == [first, None, first]
    assert [str(control.row(each).state) for each in (source, first, second)] == ["ACTIVE", "ACTIVE", "ERROR"]
    assert "did not answer" in control.show(second)["fault"]["message"]
    group.add(first, "without-sibling")
    repair(control, group, second)
    assert_all_follow(group, first, "sibling-repaired")


def repair(control: ControlPlane, group: Group, instance_id: str) -> None:
    """Do what the documents tell a tenant to do about a replica in ERROR."""
    control.wait_until_healthy(instance_id)

    def usable() -> bool:
        assert control.action(instance_id, {"reset_status": {}}) == 202
        return str(control.row(instance_id).state) == "ACTIVE"

    wait_for(usable, 30, "the replica to be usable")
    with announced(control, "instance_restart"):
        group.act(instance_id, "restart")


@pytest.mark.parametrize("came_to", ["demoted", "promoted"])
def test_a_promotion_whose_taskmanager_was_killed_is_brought_to_its_end(
    control: ControlPlane, group: Group, members: tuple[str, str, str], came_to: str
) -> None:
    source, first, second = members
    group.add(source, f"killed-{came_to}")
    quiet = TroveContext(overwrite=False)

    with announced(control, "instance_promote") as told:
        ctx = begun(control.api, control, first)
        assert control.task.claim(ctx.notification.run_id)
        lsn = control.site.guest(source).demote(quiet)
        if came_to == "promoted":
            control.site.guest(first).promote(quiet, lsn)
        adopt_and_resume(control, ctx.notification.run_id)

    assert told[0].ending.event_type == "dbaas.instance_promote.end"
    assert [control.row(each).replica_of for each in (source, first, second)] == [first, None, first]
    assert group.states() == ["ACTIVE"] * 3
    assert_all_follow(group, first, f"resumed-{came_to}")


def begun(lifecycle: Lifecycle, control: ControlPlane, replica: str) -> Any:
    """Begin a promotion as the API does, and hand it to nobody; return the context of its run."""
    ctx = TroveContext(project_id=PROJECT, user_id="noauth", overwrite=False)
    with lifecycle.begin(
        ctx,
        OPERATIONS["instance_promote"],
        instance=control.row(replica),
        items=[{"instance_id": replica}],
    ) as beginning:
        groups.hold_for_promotion(beginning.tx, replica, beginning.run.started_at)
    return beginning.context


def adopt_and_resume(control: ControlPlane, run_id: str) -> None:
    """Do what the watchdog of another taskmanager does for the run of a dead one."""
    dead = control.task.announcer.emitter.service_id
    with control.database.writing() as tx:
        assert runs.adopt(tx, run_id, dead, "another")
        run = runs.get(tx, run_id)
    assert run is not None
    resumer(TaskmanagerClient(control.site.rpc))(run)


def test_a_source_that_dies_while_it_is_copied_ends_the_copy_alone(
    control: ControlPlane, group: Group, members: tuple[str, str, str]
) -> None:
    source, first, _ = members
    before = control.show(source)["replicas"]

    with announced(control, "instance_create") as told, held_up(control, source):
        _, body = control.call("POST", "/instances", {"instance": {"name": "late", "replica_of": source}})
        late = body["instance"]["id"]
        wait_for(lambda: control.row(late).service_status == "BUILD", 30, "the copying to begin")
        # Meanwhile it has a replica more, which is in the way of everything that moves the whole group.
        assert control.call("DELETE", f"/instances/{source}")[0] == 403
        assert control.action(first, {"promote_to_replica_source": {}}) == 422
        group.kill_server(source)

    assert told[0].error["fault"] == "system"
    assert told[0].error["instance_id"] == late
    assert control.show(late)["status"] == "ERROR"
    assert not [e for e in control.events("trove.instance.create") if e.payload["instance_id"] == late]
    with announced(control, "instance_restart"):
        group.act(source, "restart")
    Leftovers(control.task, control.site.guest).step()
    assert control.row(late).replica_of is None
    assert control.show(source)["replicas"] == before
    assert control.call("DELETE", f"/instances/{late}")[0] == 202
    wait_for(lambda: not control.open_runs(), DONE_S, "the deletion")
    assert_all_follow(group, source, "copy-failed")
