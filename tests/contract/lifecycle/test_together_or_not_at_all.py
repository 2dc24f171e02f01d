"""G1: state change, run and event commit together or not at all, whatever fails."""

from collections.abc import Callable

import pytest
from tests.contract.lifecycle.breakage import mend, refuse, refuse_commits
from tests.contract.lifecycle.ground import Ground, context
from tests.support.rows import new_instance

from coffer.catalogue.operations import OPERATIONS
from coffer.catalogue.states import InstanceState
from coffer.lifecycle.runs import Ending
from coffer.store import instances
from coffer.store.database import Database
from coffer.store.errors import StoreError

Break = Callable[[Database], None]

FAILURES = {
    "the event cannot be written": lambda database: refuse(database, "INSERT", "outbox"),
    "the commit fails": lambda database: refuse_commits(database, "INSERT", "outbox"),
    "the state cannot be moved": lambda database: refuse(database, "UPDATE", "instances"),
}
failures = pytest.mark.parametrize("break_it", FAILURES.values(), ids=FAILURES.keys())


class GaveUpError(Exception):
    pass


def test_a_beginning_leaves_state_run_and_event(ground: Ground) -> None:
    instance = ground.has()

    run = ground.one_begun("instance_restart", instance)

    assert ground.state(instance) == InstanceState.REBOOT
    assert ground.open_runs() == [run.run_id]
    assert ground.told() == ["instance_restart.start"]
    assert len(ground.woken) == 1


@failures
def test_a_beginning_that_cannot_be_told_has_not_happened(ground: Ground, break_it: Break) -> None:
    instance = ground.has()
    break_it(ground.database)

    with pytest.raises(StoreError):
        ground.begun("instance_restart", instance)

    assert ground.state(instance) == InstanceState.ACTIVE
    assert ground.open_runs() == []
    assert ground.told() == []
    assert ground.woken == []


def test_a_beginning_whose_run_cannot_be_written_has_not_happened(ground: Ground) -> None:
    instance = ground.has()
    refuse(ground.database, "INSERT", "runs")

    with pytest.raises(StoreError):
        ground.begun("instance_restart", instance)

    assert ground.state(instance) == InstanceState.ACTIVE
    assert ground.told() == []


def test_a_body_that_breaks_takes_everything_with_it(ground: Ground) -> None:
    instance = ground.has()
    begin = ground.lifecycle().begin(context(), OPERATIONS["instance_restart"], instance=instance)

    with pytest.raises(GaveUpError), begin as beginning:  # noqa: PT012
        instances.insert(beginning.tx, new_instance(id="i-2"))
        raise GaveUpError

    assert ground.state(instance) == InstanceState.ACTIVE
    assert ground.open_runs() == []
    assert ground.told() == []
    with ground.database.reading() as tx:
        assert instances.get(tx, "i-2") is None


def test_what_the_body_writes_is_written_with_the_run(ground: Ground) -> None:
    run = ground.creation("i-2")

    assert ground.instance("i-2").state == InstanceState.BUILD
    assert ground.open_runs() == [run.run_id]
    assert ground.told() == ["instance_create.start"]


@failures
def test_an_ending_that_cannot_be_told_has_not_happened(ground: Ground, break_it: Break) -> None:
    instance = ground.has()
    run = ground.one_begun("instance_restart", instance)
    break_it(ground.database)

    with pytest.raises(StoreError):
        ground.lifecycle().end(run.run_id)
    assert ground.open_runs() == [run.run_id]
    assert ground.state(instance) == InstanceState.REBOOT

    mend(ground.database)
    ground.lifecycle().end(run.run_id)
    assert ground.open_runs() == []
    assert ground.told() == ["instance_restart.start", "instance_restart.end"]


@failures
def test_a_failure_that_cannot_be_told_has_not_happened(ground: Ground, break_it: Break) -> None:
    instance = ground.has()
    run = ground.one_begun("instance_restart", instance)
    break_it(ground.database)

    with pytest.raises(StoreError):
        ground.lifecycle().fail(run.run_id, GaveUpError())

    assert ground.open_runs() == [run.run_id]
    assert ground.state(instance) == InstanceState.REBOOT
    assert ground.instance(instance.id).fault_code is None
    assert ground.told() == ["instance_restart.start"]


def test_a_body_that_breaks_leaves_the_run_open(ground: Ground) -> None:
    instance = ground.has()
    run = ground.one_begun("instance_restart", instance)

    def give_up(ending: Ending) -> None:
        instances.update(ending.tx, instance.id, ending.now, name="other")
        raise GaveUpError

    with pytest.raises(GaveUpError):
        ground.lifecycle().end(run.run_id, give_up)

    assert ground.open_runs() == [run.run_id]
    assert ground.instance(instance.id).name == "shop"
    assert ground.told() == ["instance_restart.start"]


def test_a_fact_that_cannot_be_written_leaves_the_run_open(ground: Ground) -> None:
    """The second row of the ending's transaction fails: the first is not there either."""
    run = ground.creation()
    lifecycle = ground.lifecycle()

    def state_a_fact_of_nothing(ending: Ending) -> None:
        lifecycle.state_fact(ending, "trove.instance.nothing", ground_instance)

    ground_instance = ground.instance("i-new")
    with pytest.raises(KeyError):
        lifecycle.end(run.run_id, state_a_fact_of_nothing)

    assert ground.open_runs() == [run.run_id]
    assert ground.told() == ["instance_create.start"]
    assert ground.instance("i-new").state == InstanceState.BUILD


def test_nobody_sees_a_beginning_before_it_is_committed(ground: Ground) -> None:
    instance = ground.has()

    with ground.lifecycle().begin(context(), OPERATIONS["instance_restart"], instance=instance):
        assert ground.open_runs() == []
        assert ground.told() == []
        assert ground.state(instance) == InstanceState.ACTIVE
        assert ground.woken == []
    assert ground.told() == ["instance_restart.start"]
