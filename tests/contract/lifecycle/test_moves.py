"""How runs move their instances: by compare-and-set, and back."""

from collections import Counter
from collections.abc import Iterator

import pytest
from tests.contract.lifecycle.ground import Ground, context
from tests.support.threads import together

from coffer.catalogue.errors import DatabaseExists, GuestFailed, WrongState
from coffer.catalogue.operations import OPERATIONS, Operation
from coffer.catalogue.states import InstanceState
from coffer.lifecycle.moves import leave_as
from coffer.lifecycle.runs import RunNotOpenError

MOVING = [each for each in OPERATIONS.values() if each.move and each.move.during and each.move.allowed]
STANDING = [each for each in OPERATIONS.values() if each.move and not each.move.during]


def cases() -> Iterator[tuple[Operation, InstanceState]]:
    """Every operation that moves its instance, from every state in which it may begin."""
    for operation in MOVING:
        assert operation.move is not None
        for state in sorted(operation.move.allowed):
            yield operation, state


def test_a_run_that_ends_well_leaves_the_state_that_the_table_says(ground: Ground) -> None:
    for operation, state in cases():
        instance = ground.has(state=state)
        assert operation.move is not None

        run = ground.one_begun(operation.name, instance)
        assert ground.state(instance) == operation.move.during
        assert ground.run(run).previous_state == state

        ground.lifecycle().end(run.run_id)
        assert ground.state(instance) == (operation.move.end or state), operation.name


def test_a_run_that_fails_leaves_the_state_that_the_table_says(ground: Ground) -> None:
    for operation, state in cases():
        instance = ground.has(state=state)
        assert operation.move is not None
        more = {"backup_id": "b-1"} if operation.subject == "backup" else {}
        run = ground.one_begun(operation.name, instance, **more)

        ground.lifecycle().fail(run.run_id, GuestFailed(reason="no"))

        assert ground.state(instance) == (operation.move.error or state), operation.name


def test_a_refused_run_moves_nothing(ground: Ground) -> None:
    for operation in MOVING:
        assert operation.move is not None
        for state in sorted(set(InstanceState) - operation.move.allowed - {InstanceState.DELETED}):
            instance = ground.has(state=state)
            with pytest.raises(WrongState):
                ground.one_begun(operation.name, instance)
            assert ground.instance(instance.id) == instance


def test_an_operation_without_a_state_of_its_own_moves_nothing(ground: Ground) -> None:
    for operation in STANDING:
        assert operation.move is not None
        instance = ground.has(state=min(operation.move.allowed))

        run = ground.one_begun(operation.name, instance)
        ground.lifecycle().end(run.run_id)

        assert ground.instance(instance.id) == instance


def test_a_creation_that_ends_well_is_active_and_one_that_fails_is_broken(ground: Ground) -> None:
    good, bad = ground.creation("i-1"), ground.creation("i-2")

    ground.lifecycle().end(good.run_id)
    ground.lifecycle().fail(bad.run_id, GuestFailed(reason="No disk."))

    assert ground.instance("i-1").state == InstanceState.ACTIVE
    assert ground.instance("i-2").state == InstanceState.ERROR
    assert ground.instance("i-2").fault_message == "No disk."


def test_a_deleted_instance_says_since_when(ground: Ground) -> None:
    instance = ground.has()
    run = ground.one_begun("instance_delete", instance)
    ground.clock.forward(7)

    ground.lifecycle().end(run.run_id)

    assert ground.instance(instance.id).deleted_at == ground.clock()


def test_of_sixteen_conflicting_operations_one_begins(ground: Ground) -> None:
    instance = ground.has()
    lifecycle = ground.lifecycle()
    names = ["instance_restart", "instance_delete", "instance_resize_volume", "instance_promote"]

    def begin(number: int) -> str:
        operation = OPERATIONS[names[number % 4]]
        try:
            with lifecycle.begin(
                context(), operation, instance=instance, items=[{"instance_id": instance.id}]
            ):
                return "begun"
        except WrongState as refusal:
            # The sentence names the state that the winner left, or it would contradict itself.
            is_right = str(refusal.data["state"]) not in str(refusal.data["allowed"])
            return "refused" if is_right else f"refused because {refusal}"

    won = together(16, begin)

    assert Counter(won) == {"begun": 1, "refused": 15}
    winner = OPERATIONS[names[won.index("begun") % 4]]
    assert winner.move is not None
    assert ground.state(instance) == winner.move.during
    assert len(ground.open_runs()) == 1
    told = Counter(name.rpartition(".")[2] for name in ground.told())
    assert told == {"start": 16, "error": 15}


def test_begin_and_end_may_meet_from_many_threads(ground: Ground) -> None:
    """Begun, ended and begun again by 8 threads: no state is lost, no run stays open, nobody waits for ever."""
    instance = ground.has()
    lifecycle = ground.lifecycle()

    def restart(_: int) -> int:
        done = 0
        for _attempt in range(10):
            try:
                with lifecycle.begin(
                    context(), OPERATIONS["instance_restart"], instance=instance
                ) as beginning:
                    pass
            except WrongState:
                continue
            lifecycle.end(beginning.run.run_id)
            done += 1
        return done

    done = sum(together(8, restart))

    assert done >= 1
    assert ground.state(instance) == InstanceState.ACTIVE
    assert ground.open_runs() == []
    told = Counter(name.rpartition(".")[2] for name in ground.told())
    assert told == {"start": 80, "end": done, "error": 80 - done}


@pytest.mark.parametrize("name", ["instance_restart", "instance_resize_instance", "instance_resize_volume"])
def test_a_restart_that_was_required_still_is_after_a_failure(ground: Ground, name: str) -> None:
    instance = ground.has(state=InstanceState.RESTART_REQUIRED)
    run = ground.one_begun(name, instance)

    ground.lifecycle().fail(run.run_id, GuestFailed(reason="no"))

    assert ground.state(instance) == InstanceState.RESTART_REQUIRED


@pytest.mark.parametrize("is_well", [True, False])
def test_what_is_told_while_a_backup_is_made_holds_after_it(ground: Ground, *, is_well: bool) -> None:
    instance, other = ground.has(), ground.has(state=InstanceState.RESTART_REQUIRED)
    run, other_run = (ground.one_begun("backup_create", each, backup_id="b-1") for each in (instance, other))
    with ground.database.writing() as tx:
        assert leave_as(tx, instance.id, InstanceState.RESTART_REQUIRED, ground.clock())
    assert ground.state(instance) == InstanceState.BACKUP

    for each in (run, other_run):
        if is_well:
            ground.lifecycle().end(each.run_id)
        else:
            ground.lifecycle().fail(each.run_id, GuestFailed(reason="no"))

    assert ground.state(instance) == InstanceState.RESTART_REQUIRED
    assert ground.state(other) == InstanceState.RESTART_REQUIRED


@pytest.mark.parametrize("name", ["instance_restart", "instance_resize_volume", "instance_delete"])
def test_an_instance_that_does_not_serve_cannot_be_left_otherwise(ground: Ground, name: str) -> None:
    instance = ground.has()
    run = ground.one_begun(name, instance)
    with ground.database.writing() as tx:
        assert not leave_as(tx, instance.id, InstanceState.RESTART_REQUIRED, ground.clock())
    assert ground.run(run).previous_state == InstanceState.ACTIVE
    assert ground.state(instance) != InstanceState.RESTART_REQUIRED


# --- faults ---------------------------------------------------------------------------------------


def test_a_failure_of_ours_stands_at_the_instance(ground: Ground) -> None:
    instance = ground.has()
    run = ground.one_begun("instance_restart", instance)
    ground.clock.forward(3)

    ground.lifecycle().fail(run.run_id, GuestFailed(reason="The server does not start."))

    broken = ground.instance(instance.id)
    assert (broken.fault_code, broken.fault_message) == ("guest_failed", "The server does not start.")
    assert broken.fault_at == ground.clock()


def test_a_mistake_of_the_tenant_is_no_fault_of_the_instance(ground: Ground) -> None:
    instance = ground.has(
        fault_code="guest_failed", fault_message="The disk is slow.", fault_at=ground.clock()
    )
    run = ground.one_begun("instance_restart", instance)
    standing = ground.one_begun("database_create", ground.has(), dbname="shop")

    ground.lifecycle().fail(run.run_id, DatabaseExists(name="shop"))
    ground.lifecycle().fail(standing.run_id, DatabaseExists(name="shop"))

    assert ground.instance(instance.id).fault_message == "The disk is slow."


def test_an_instance_that_is_broken_by_it_says_so_even_then(ground: Ground) -> None:
    """ERROR without a reason would be a riddle to its tenant."""
    run = ground.creation("i-1")

    ground.lifecycle().fail(run.run_id, DatabaseExists(name="shop"))

    assert ground.instance("i-1").state == InstanceState.ERROR
    assert ground.instance("i-1").fault_message == "A database with the name shop already exists."


def test_a_later_failure_of_ours_replaces_the_former(ground: Ground) -> None:
    instance = ground.has(fault_code="guest_failed", fault_message="old", fault_at=ground.clock())
    run = ground.one_begun("instance_restart", instance)

    ground.lifecycle().fail(run.run_id, GuestFailed(reason="new"))

    assert ground.instance(instance.id).fault_message == "new"


def test_a_success_clears_the_fault(ground: Ground) -> None:
    instance = ground.has(fault_code="guest_failed", fault_message="old", fault_at=ground.clock())
    run = ground.one_begun("instance_restart", instance)

    ground.lifecycle().end(run.run_id)

    mended = ground.instance(instance.id)
    assert (mended.fault_code, mended.fault_message, mended.fault_at) == (None, None, None)


def test_a_success_that_repairs_nothing_leaves_the_fault(ground: Ground) -> None:
    instance = ground.has(fault_code="guest_failed", fault_message="old", fault_at=ground.clock())
    run = ground.one_begun("database_create", instance, dbname="shop")

    ground.lifecycle().end(run.run_id)

    assert ground.instance(instance.id).fault_message == "old"


def test_a_backup_neither_breaks_an_instance_nor_mends_it(ground: Ground) -> None:
    """Its failure stands at the backup: an instance that serves must not look broken."""
    well = ground.has()
    broken = ground.has(fault_code="guest_failed", fault_message="The disk is slow.", fault_at=ground.clock())
    failed, made = (ground.one_begun("backup_create", each, backup_id="b-1") for each in (well, broken))

    ground.lifecycle().fail(failed.run_id, GuestFailed(reason="The storage is full."))
    ground.lifecycle().end(made.run_id)

    assert ground.instance(well.id).fault_message is None
    assert ground.instance(broken.id).fault_message == "The disk is slow."
    assert (ground.state(well), ground.state(broken)) == (InstanceState.ACTIVE, InstanceState.ACTIVE)


def test_a_fault_holds_no_secret(ground: Ground) -> None:
    run = ground.creation("i-1")

    ground.lifecycle().fail(run.run_id, GuestFailed(reason="CREATE ROLE alice PASSWORD 'tiger' failed"))

    assert "tiger" not in str(ground.instance("i-1"))
    assert "tiger" not in str(ground.run(run))
    assert b"tiger" not in b"".join(ground.bodies())


def test_an_ended_run_moves_nothing(ground: Ground) -> None:
    instance = ground.has()
    run = ground.one_begun("instance_restart", instance)
    ground.lifecycle().end(run.run_id)
    deletion = ground.one_begun("instance_delete", instance)

    with pytest.raises(RunNotOpenError):
        ground.lifecycle().end(run.run_id)

    assert ground.open_runs() == [deletion.run_id]
    assert ground.state(instance) == InstanceState.SHUTDOWN
