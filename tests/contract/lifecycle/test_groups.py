"""Replication groups are held whole or not at all, whoever begins at the same time; on every database."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.contract.lifecycle.ground import Ground, context

from coffer.catalogue.errors import CofferError, GuestFailed, HasReplicas, WrongState
from coffer.catalogue.operations import OPERATIONS
from coffer.catalogue.states import InstanceState
from coffer.lifecycle import groups
from coffer.lifecycle.runs import Beginning
from coffer.store import instances, replication
from coffer.store.instances import Instance
from coffer.store.runs import Run

ROUNDS = 12


def family(ground: Ground, replicas: int = 2) -> list[Instance]:
    source = ground.has()
    return [source, *(ground.has(replica_of=source.id, launched_at=ground.clock()) for _ in range(replicas))]


def begin(
    ground: Ground, operation: str, subject: Instance, hold: Callable[[Beginning], None]
) -> Run | CofferError:
    lifecycle = ground.lifecycle()
    try:
        with lifecycle.begin(
            context(), OPERATIONS[operation], instance=subject, items=[{"instance_id": subject.id}]
        ) as beginning:
            hold(beginning)
    except CofferError as error:
        return error
    return beginning.run


def promote(ground: Ground, replica: Instance) -> Run | CofferError:
    def hold(beginning: Beginning) -> None:
        groups.hold_for_promotion(beginning.tx, replica.id, beginning.run.started_at)

    return begin(ground, "instance_promote", replica, hold)


def eject(ground: Ground, source: Instance) -> Run | CofferError:
    def hold(beginning: Beginning) -> None:
        groups.hold_for_ejection(beginning.tx, source.id, beginning.run.started_at)

    return begin(ground, "instance_eject", source, hold)


def delete(ground: Ground, source: Instance) -> Run | CofferError:
    """Delete an instance as the API does: not while it has replicas."""

    def check(beginning: Beginning) -> None:
        if replication.replica_ids(beginning.tx, [source])[source.id]:
            raise HasReplicas(id=source.id)

    return begin(ground, "instance_delete", source, check)


def replicate(ground: Ground, source: Instance) -> Run | CofferError:
    """Make a replica as the API does: of a source that nobody moves meanwhile."""
    new = f"r-{source.id[:30]}"
    lifecycle = ground.lifecycle()
    try:
        with lifecycle.begin(
            context(), OPERATIONS["instance_create"], items=[{"instance_id": new, "name": "copy"}]
        ) as beginning:
            present = replication.lock(beginning.tx, source.id)
            if present is None or present.state != InstanceState.ACTIVE:
                raise WrongState(id=source.id, state="gone", operation="replicating", allowed="ACTIVE")
            row = ground.instance(source.id)
            instances.insert(
                beginning.tx,
                Instance(
                    **{
                        **{name: getattr(row, name) for name in Instance.__dataclass_fields__},
                        "id": new,
                        "replica_of": source.id,
                        "state": InstanceState.BUILD,
                    }
                ),
            )
    except CofferError as error:
        return error
    return beginning.run


def at_once(*calls: Callable[[], Run | CofferError]) -> Sequence[Run | CofferError]:
    """Make calls at the same time; return what became of each."""
    gate = threading.Barrier(len(calls))

    def through(call: Callable[[], Run | CofferError]) -> Run | CofferError:
        gate.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(through, calls))


def test_of_several_who_begin_at_once_one_wins_and_holds_everybody(ground: Ground) -> None:
    for _ in range(ROUNDS):
        source, first, second = members = family(ground)

        outcomes = at_once(
            lambda first=first: promote(ground, first),  # type: ignore[misc]
            lambda second=second: promote(ground, second),  # type: ignore[misc]
            lambda source=source: eject(ground, source),  # type: ignore[misc]
        )

        (won,) = [each for each in outcomes if isinstance(each, Run)]
        assert [type(each) for each in outcomes if each is not won] == [WrongState] * 2
        assert {ground.state(each) for each in members} == {groups.HOLDING[won.operation]}
        ground.lifecycle().fail(won.run_id, GuestFailed(reason="That was it."))
        assert {ground.state(each) for each in members} == {InstanceState.ACTIVE}


def test_nobody_gets_a_source_that_is_deleted_at_that_moment(ground: Ground) -> None:
    for _ in range(ROUNDS):
        source = ground.has()

        deletion, creation = at_once(
            lambda source=source: delete(ground, source),  # type: ignore[misc]
            lambda source=source: replicate(ground, source),  # type: ignore[misc]
        )

        if isinstance(deletion, Run):
            assert isinstance(creation, WrongState)
        else:
            assert isinstance(deletion, HasReplicas)
            assert isinstance(creation, Run)


def test_a_switch_leaves_a_replica_that_is_being_made_with_the_one_that_it_is_made_of(ground: Ground) -> None:
    source, first, second = family(ground)
    building = ground.has(replica_of=source.id, state=InstanceState.BUILD)

    ground.lifecycle().note(lambda tx, now: groups.switch(tx, source.id, first.id, now))

    assert [ground.instance(each.id).replica_of for each in (source, first, second, building)] == [
        first.id,
        None,
        first.id,
        source.id,
    ]


@pytest.mark.parametrize("is_switched", [False, True])
def test_whoever_ends_an_ejection_lets_everybody_go(ground: Ground, is_switched: bool) -> None:
    source, first, second = members = family(ground)
    run = eject(ground, source)
    assert isinstance(run, Run)
    if is_switched:
        ground.lifecycle().note(lambda tx, now: groups.switch(tx, source.id, first.id, now))

    ground.lifecycle().fail(run.run_id, GuestFailed(reason="That was it."))

    assert {ground.state(each) for each in members} == {InstanceState.ACTIVE}
    wanted = [None, None, first.id] if is_switched else [None, source.id, source.id]
    assert [ground.instance(each.id).replica_of for each in (source, first, second)] == wanted


def test_a_deadline_in_the_middle_frees_the_group(ground: Ground) -> None:
    members = family(ground)
    run = promote(ground, members[1])
    assert isinstance(run, Run)
    with ground.database.reading() as tx:
        assert groups.runs_holding(tx, members[0].id) == groups.runs_holding(tx, members[2].id) == [run]
        assert groups.runs_holding(tx, members[1].id) == []

    ground.lifecycle().fail(run.run_id, GuestFailed(reason="Too late."))

    assert {ground.state(each) for each in members} == {InstanceState.ACTIVE}
    with ground.database.reading() as tx:
        assert groups.runs_holding(tx, members[0].id) == []
