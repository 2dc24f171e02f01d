"""Changes of roles whose taskmanager was killed in the middle: another one goes on from wherever that was."""

import pytest
from tests.functional.taskmanager.replicas import die, ending, follows, replicated, roles, states
from tests.functional.taskmanager.tasks import begun, run_of
from tests.support.plane import PROJECT, Plane

from coffer.catalogue.operations import OPERATIONS
from coffer.catalogue.states import InstanceState
from coffer.lifecycle import groups
from coffer.store import runs
from coffer.taskmanager.resume import resumer
from coffer.wire.context import TroveContext
from coffer.wire.taskmanager_client import TaskmanagerClient

ACTIVE = InstanceState.ACTIVE


def hold_all(plane: Plane, operation: str, instance_id: str) -> TroveContext:
    """Begin a run that holds a group, as the API does."""
    ctx = TroveContext(project_id=PROJECT, user_id="u", overwrite=False)
    hold = {
        "instance_promote": groups.hold_for_promotion,
        "instance_eject": groups.hold_for_ejection,
    }[operation]
    with plane.api.begin(
        ctx,
        OPERATIONS[operation],
        instance=plane.instance(instance_id),
        items=[{"instance_id": instance_id}],
    ) as beginning:
        hold(beginning.tx, instance_id, beginning.run.started_at)
    return beginning.context


def resume(plane: Plane, ctx: TroveContext) -> None:
    """Let another taskmanager take up a run that a dead one had claimed."""
    run = run_of(plane, ctx)
    plane.task.claim(run.run_id)
    with plane.database.writing() as tx:
        assert runs.adopt(tx, run.run_id, "task-1", "task-2")
    resumer(TaskmanagerClient(plane.rpc))(run)
    plane.wait_until_idle()


@pytest.mark.parametrize("came_to", ["nothing", "demoted", "promoted", "switched", "followed"])
def test_a_promotion_is_taken_up_wherever_it_was_left(plane: Plane, came_to: str) -> None:
    source, first, second = replicated(plane)
    ctx, quiet = hold_all(plane, "instance_promote", first), TroveContext(overwrite=False)
    steps = ["nothing", "demoted", "promoted", "switched", "followed"].index(came_to)
    if steps >= 1:
        lsn = plane.guest(source).demote(quiet)
    if steps >= 2:
        plane.guest(first).promote(quiet, lsn)
    if steps >= 3:
        plane.task.note(lambda tx, now: groups.switch(tx, source, first, now))
    if steps >= 4:
        plane.guest(source).follow(quiet, plane.guest(first).admit_replica(quiet, source))

    resume(plane, ctx)

    assert ending(plane, "instance_promote") == "end"
    assert roles(plane, source, first, second) == [first, None, first]
    assert states(plane, source, first, second) == [ACTIVE] * 3
    assert follows(plane, source, first)
    assert follows(plane, second, first)


@pytest.mark.parametrize("came_to", ["nothing", "promoted", "switched"])
def test_an_ejection_is_taken_up_wherever_it_was_left(plane: Plane, came_to: str) -> None:
    source, first, second = replicated(plane)
    die(plane, source)
    ctx, quiet = hold_all(plane, "instance_eject", source), TroveContext(overwrite=False)
    if came_to != "nothing":
        plane.guest(second).promote(quiet, None)
        plane.server(first).standing.lsn = 99  # whatever the others have: there is a source already
    if came_to == "switched":
        plane.task.note(lambda tx, now: groups.switch(tx, source, second, now))
    new = first if came_to == "nothing" else second
    other = second if came_to == "nothing" else first
    if came_to == "nothing":
        plane.server(first).standing.lsn = 99

    resume(plane, ctx)

    assert ending(plane, "instance_eject") == "end"
    assert roles(plane, source, new, other) == [None, None, new]
    assert states(plane, source, new, other) == [ACTIVE] * 3
    assert follows(plane, other, new)


def test_a_detachment_is_taken_up(plane: Plane) -> None:
    _, first, _ = replicated(plane)
    ctx = begun(plane, "instance_detach", first)
    plane.guest(first).detach(TroveContext(overwrite=False))

    resume(plane, ctx)

    assert ending(plane, "instance_detach") == "end"
    assert roles(plane, first) == [None]
