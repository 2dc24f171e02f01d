"""G2: every run that began ends exactly once; the second ending is refused by the database, whoever tries."""

import uuid

import pytest
from tests.contract.lifecycle.ground import Ground
from tests.support.threads import together

from coffer.catalogue.errors import DatabaseExists, GuestFailed
from coffer.catalogue.events import Phase
from coffer.catalogue.operations import ServerType
from coffer.catalogue.states import InstanceState
from coffer.lifecycle.runs import Lifecycle, RunNotOpenError
from coffer.store import runs


def ended_well(lifecycle: Lifecycle, run_id: str) -> bool:
    """Try to end a run well; return whether it was ours to end."""
    try:
        lifecycle.end(run_id)
    except RunNotOpenError:
        return False
    return True


def test_of_sixteen_who_end_a_run_well_one_wins(ground: Ground) -> None:
    run = ground.one_begun("instance_restart", ground.has())
    lifecycle = ground.lifecycle(ServerType.TASK)

    won = together(16, lambda _: ended_well(lifecycle, run.run_id))

    assert won.count(True) == 1
    assert ground.told(run) == ["instance_restart.start", "instance_restart.end"]


def test_of_sixteen_who_fail_a_run_one_wins(ground: Ground) -> None:
    run = ground.one_begun("instance_restart", ground.has())
    lifecycle = ground.lifecycle(ServerType.TASK)

    won = together(16, lambda number: lifecycle.fail(run.run_id, GuestFailed(reason=f"reason {number}")))

    assert won.count(True) == 1
    assert ground.told(run) == ["instance_restart.start", "instance_restart.error"]
    reason = f"reason {won.index(True)}"
    assert ground.run(run).message == reason
    assert ground.payload("dbaas.instance_restart.error")["message"] == reason


def test_of_those_who_end_and_those_who_fail_one_wins(ground: Ground) -> None:
    instance = ground.has()
    run = ground.one_begun("instance_restart", instance)
    lifecycle = ground.lifecycle(ServerType.TASK)

    def end_or_fail(number: int) -> bool:
        if number % 2:
            return lifecycle.fail(run.run_id, GuestFailed(reason="no"))
        return ended_well(lifecycle, run.run_id)

    won = together(16, end_or_fail)

    assert won.count(True) == 1
    ending = Phase.ERROR if won.index(True) % 2 else Phase.END
    assert ground.told(run) == ["instance_restart.start", f"instance_restart.{ending}"]
    assert ground.run(run).ending == ending
    assert (ground.instance(instance.id).fault_code is not None) == (ending is Phase.ERROR)


def test_after_an_error_there_is_no_end(ground: Ground) -> None:
    run = ground.one_begun("instance_restart", ground.has())
    lifecycle = ground.lifecycle()
    assert lifecycle.fail(run.run_id, GuestFailed(reason="no"))

    with pytest.raises(RunNotOpenError):
        lifecycle.end(run.run_id)
    assert not lifecycle.fail(run.run_id, GuestFailed(reason="again"))

    assert ground.told(run) == ["instance_restart.start", "instance_restart.error"]
    assert ground.run(run).message == "no"


def test_after_an_end_there_is_no_error(ground: Ground) -> None:
    instance = ground.has()
    run = ground.one_begun("instance_restart", instance)
    lifecycle = ground.lifecycle()
    lifecycle.end(run.run_id)

    assert not lifecycle.fail(run.run_id, GuestFailed(reason="late"))
    assert not ended_well(lifecycle, run.run_id)

    assert ground.told(run) == ["instance_restart.start", "instance_restart.end"]
    assert ground.state(instance) == InstanceState.ACTIVE
    assert ground.instance(instance.id).fault_code is None


def test_a_late_ending_does_not_disturb_the_operation_that_runs_by_now(ground: Ground) -> None:
    instance = ground.has()
    first = ground.one_begun("instance_restart", instance)
    ground.lifecycle().fail(first.run_id, GuestFailed(reason="no"))
    second = ground.one_begun("instance_restart", instance)

    assert not ended_well(ground.lifecycle(), first.run_id)
    assert not ground.lifecycle().fail(first.run_id, GuestFailed(reason="late"))

    assert ground.open_runs() == [second.run_id]
    assert ground.state(instance) == InstanceState.REBOOT


def test_the_database_itself_refuses_the_second_ending(ground: Ground) -> None:
    """Not a look before: the statement that ends a run is conditional on its being open."""
    run = ground.one_begun("instance_restart", ground.has())

    with ground.database.writing() as tx:
        assert runs.end(tx, run.run_id, ground.clock(), ending=Phase.END)
        assert not runs.end(tx, run.run_id, ground.clock(), ending=Phase.ERROR)
    with ground.database.writing() as tx:
        assert not runs.end(tx, run.run_id, ground.clock(), ending=Phase.ERROR)


def test_an_unknown_run_cannot_be_ended(ground: Ground) -> None:
    unknown = str(uuid.uuid4())

    assert not ended_well(ground.lifecycle(), unknown)
    assert not ground.lifecycle().fail(unknown, GuestFailed(reason="no"))
    assert ground.told() == []


def test_a_run_that_was_refused_at_its_beginning_cannot_be_ended_again(ground: Ground) -> None:
    instance = ground.has(state=InstanceState.BUILD)
    with pytest.raises(Exception, match="needs one of"):
        ground.begun("instance_restart", instance)
    (run_id,) = {str(event.payload["run_id"]) for event in ground.events()}

    assert not ended_well(ground.lifecycle(), run_id)
    assert not ground.lifecycle().fail(run_id, DatabaseExists(name="x"))
    assert ground.told() == ["instance_restart.start", "instance_restart.error"]


def test_of_sixteen_who_claim_a_run_one_gets_it(ground: Ground) -> None:
    run = ground.one_begun("instance_restart", ground.has())
    lifecycle = ground.lifecycle(ServerType.TASK)

    assert together(16, lambda _: lifecycle.claim(run.run_id)).count(True) == 1
    assert ground.run(run).claimed_by == "task-1"


def test_an_ended_run_is_neither_claimed_nor_handed_over(ground: Ground) -> None:
    run = ground.one_begun("instance_restart", ground.has())
    lifecycle = ground.lifecycle(ServerType.TASK)
    lifecycle.end(run.run_id)

    assert not lifecycle.claim(run.run_id)
    assert not lifecycle.hand_over(run.run_id, "i-1")


@pytest.mark.parametrize("guest", ["", "i-2"])
def test_a_guest_ends_only_what_was_handed_to_it(ground: Ground, guest: str) -> None:
    handed = ground.one_begun("database_create", ground.has(), dbname="shop")
    kept = ground.one_begun("database_create", ground.has(), dbname="shop")
    lifecycle = ground.lifecycle(ServerType.CONDUCTOR)
    lifecycle.hand_over(handed.run_id, "i-1")

    for run in (handed, kept):
        with pytest.raises(RunNotOpenError):
            lifecycle.end(run.run_id, handed_to=guest)
        assert not lifecycle.fail(run.run_id, GuestFailed(reason="no"), handed_to=guest)

    assert set(ground.open_runs()) == {handed.run_id, kept.run_id}
    assert lifecycle.fail(handed.run_id, GuestFailed(reason="no"), handed_to="i-1")
