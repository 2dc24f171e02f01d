"""G6: what nobody else will end is ended by a watchdog, once, and nothing else."""

from typing import Any

import pytest
from tests.contract.lifecycle.ground import Ground
from tests.support.rows import new_run, new_service
from tests.support.threads import together
from tests.support.waiting import wait_for

from coffer.catalogue.errors import DispatchFailed
from coffer.catalogue.operations import ServerType
from coffer.catalogue.states import InstanceState
from coffer.lifecycle.presence import Presence
from coffer.lifecycle.watchdog import CONFIRM_S, Watchdog
from coffer.store import runs, services
from coffer.store.runs import Run

DOWN_S = 60.0
RESTART_S = 300
OTHER = "task-other"


class Resumed:
    """Takes the runs that are handed on again; refuses as often as it is told."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.refuses = 0

    def __call__(self, run: Run) -> None:
        if self.refuses:
            self.refuses -= 1
            raise DispatchFailed(service="taskmanager")
        self.runs.append(run.run_id)


class Guard:
    """A watchdog that lives: its own service beats whenever it sweeps."""

    def __init__(self, ground: Ground, name: str = "task-guard", **options: Any) -> None:
        self.ground = ground
        self.resumed = Resumed()
        lifecycle = ground.lifecycle(ServerType.TASK, service_id=name)
        self.lifecycle = lifecycle
        self.watchdog = Watchdog(lifecycle, resume=self.resumed, service_down_s=DOWN_S, **options)
        self.name = name
        with ground.database.writing() as tx:
            services.register(tx, new_service(id=name, seen_at=ground.clock()))

    def sweep(self) -> int:
        with self.ground.database.writing() as tx:
            services.beat(tx, self.name, self.ground.clock())
        return self.watchdog.sweep()

    def sweep_until_sure(self) -> int:
        """Sweep, and again when whoever seems dead has been watched for long enough."""
        first = self.sweep()
        self.ground.clock.forward(CONFIRM_S)
        return first + self.sweep()


@pytest.fixture
def guard(ground: Ground) -> Guard:
    return Guard(ground)


def alive(ground: Ground, service_id: str) -> None:
    with ground.database.writing() as tx:
        services.register(tx, new_service(id=service_id, seen_at=ground.clock()))


def known(ground: Ground) -> set[str]:
    with ground.database.reading() as tx:
        return {service.id for service in services.list_all(tx)}


def claimed(ground: Ground, operation: str = "instance_restart", by: str = OTHER) -> Run:
    """Begin a run that another service then claims, and which lives at this moment."""
    alive(ground, by)
    alive(ground, "api-1")
    run = ground.one_begun(operation, ground.has())
    with ground.database.writing() as tx:
        assert runs.claim(tx, run.run_id, by, ground.clock())
    return run


def test_before_its_deadline_a_run_is_left_alone(ground: Ground, guard: Guard) -> None:
    run = ground.one_begun("instance_restart", ground.has())
    ground.clock.forward(RESTART_S - 1)

    assert guard.sweep() == 0
    assert ground.open_runs() == [run.run_id]


def test_at_its_deadline_a_run_is_ended(ground: Ground, guard: Guard) -> None:
    instance = ground.has()
    run = ground.one_begun("instance_restart", instance)
    ground.clock.forward(RESTART_S)

    assert guard.sweep() == 1

    error = ground.payload("dbaas.instance_restart.error")
    assert (error["error_code"], error["fault"]) == ("deadline_exceeded", "system")
    assert error["message"] == "instance_restart did not finish within 300 s."
    assert error["duration_s"] == RESTART_S
    assert ground.told(run) == ["instance_restart.start", "instance_restart.error"]
    assert ground.state(instance) == InstanceState.ACTIVE
    assert guard.sweep() == 0


def test_a_run_that_was_handed_to_a_guest_is_left_until_its_deadline(ground: Ground, guard: Guard) -> None:
    """Whoever began it may be dead: the guest will report."""
    alive(ground, "api-1")
    run = ground.one_begun("database_create", ground.has(), dbname="shop")
    ground.lifecycle().hand_over(run.run_id, "i-1")
    ground.clock.forward(DOWN_S + 1)
    assert guard.sweep_until_sure() == 0
    assert ground.open_runs() == [run.run_id]
    assert "api-1" not in known(ground)

    ground.clock.forward(120)
    assert guard.sweep() == 1
    assert ground.payload("dbaas.database_create.error")["error_code"] == "deadline_exceeded"


def test_the_run_of_a_dead_service_is_ended(ground: Ground, guard: Guard) -> None:
    instance = ground.has()
    run = claimed(ground)
    ground.clock.forward(DOWN_S + 1)

    assert guard.sweep_until_sure() == 1

    error = ground.payload("dbaas.instance_restart.error")
    assert (error["error_code"], error["fault"]) == ("owner_died", "system")
    assert ground.told(run) == ["instance_restart.start", "instance_restart.error"]
    assert ground.state(instance) == InstanceState.ACTIVE
    assert OTHER not in known(ground)


def test_a_service_is_not_dead_at_first_sight(ground: Ground, guard: Guard) -> None:
    """After an outage of the database everybody seems dead for a moment; whoever lives says so within seconds."""
    run = claimed(ground)
    ground.clock.forward(DOWN_S + 120)
    assert guard.sweep() == 0

    alive(ground, OTHER)
    ground.clock.forward(CONFIRM_S)
    assert guard.sweep() == 0

    assert ground.open_runs() == [run.run_id]
    assert OTHER in known(ground)


def test_a_service_that_stutters_is_watched_anew(ground: Ground, guard: Guard) -> None:
    run = claimed(ground)
    ground.clock.forward(DOWN_S + 1)
    assert guard.sweep() == 0
    with ground.database.writing() as tx:  # a beat with an old time: a clock that is behind, but goes
        services.beat(tx, OTHER, ground.clock.now.replace(year=2025))

    ground.clock.forward(CONFIRM_S)

    assert guard.sweep() == 0
    assert ground.open_runs() == [run.run_id]


def test_the_watchdog_does_not_take_itself_for_dead(ground: Ground, guard: Guard) -> None:
    run = claimed(ground, by=guard.name)
    alive(ground, "api-1")
    ground.clock.forward(DOWN_S + 1)
    assert guard.watchdog.sweep() == 0  # it wakes before its presence does

    alive(ground, guard.name)
    ground.clock.forward(CONFIRM_S)

    assert guard.watchdog.sweep() == 0
    assert ground.open_runs() == [run.run_id]


def test_a_run_that_its_dead_owner_never_handed_on_is_ended(ground: Ground, guard: Guard) -> None:
    alive(ground, "api-1")
    run = ground.one_begun("instance_restart", ground.has())
    ground.clock.forward(DOWN_S + 1)

    assert guard.sweep_until_sure() == 1
    assert ground.told(run) == ["instance_restart.start", "instance_restart.error"]


def test_a_run_whose_claimer_lives_is_left_alone_though_its_owner_died(ground: Ground, guard: Guard) -> None:
    run = claimed(ground)
    ground.clock.forward(DOWN_S + 1)
    alive(ground, OTHER)

    assert guard.sweep_until_sure() == 0
    assert ground.open_runs() == [run.run_id]
    assert "api-1" not in known(ground)


def test_a_dead_service_without_runs_is_forgotten(ground: Ground, guard: Guard) -> None:
    alive(ground, OTHER)
    ground.clock.forward(DOWN_S + 1)

    assert guard.sweep_until_sure() == 0
    assert known(ground) == {guard.name}


# --- runs that may be done twice ------------------------------------------------------------------


def test_the_deletion_of_a_dead_service_is_handed_on_again(ground: Ground, guard: Guard) -> None:
    run = claimed(ground, "instance_delete")
    ground.clock.forward(DOWN_S + 1)

    assert guard.sweep_until_sure() == 1

    assert guard.resumed.runs == [run.run_id]
    assert ground.told(run) == ["instance_delete.start"]
    assert ground.run(run).claimed_by is None
    assert ground.run(run).owner == guard.name
    assert guard.lifecycle.claim(run.run_id)
    assert guard.sweep() == 0


def test_of_sixteen_watchdogs_one_adopts_a_deletion(ground: Ground) -> None:
    run = claimed(ground, "instance_delete")
    ground.clock.forward(DOWN_S + 1)
    guards = [Guard(ground, f"task-guard-{number}") for number in range(16)]
    for each in guards:
        each.sweep()
    ground.clock.forward(CONFIRM_S)

    swept = together(16, lambda number: guards[number].sweep())

    assert swept.count(1) == 1
    assert [run_id for each in guards for run_id in each.resumed.runs] == [run.run_id]
    assert ground.run(run).owner == guards[swept.index(1)].name


def test_of_sixteen_watchdogs_one_ends_an_overdue_run(ground: Ground) -> None:
    run = ground.one_begun("instance_restart", ground.has())
    ground.clock.forward(RESTART_S + 1)
    guards = [Guard(ground, f"task-guard-{number}") for number in range(16)]

    assert sum(together(16, lambda number: guards[number].sweep())) == 1
    assert ground.told(run) == ["instance_restart.start", "instance_restart.error"]


def test_an_adopted_deletion_whose_adopter_dies_is_adopted_again(ground: Ground, guard: Guard) -> None:
    run = claimed(ground, "instance_delete")
    ground.clock.forward(DOWN_S + 1)
    guard.sweep_until_sure()

    ground.clock.forward(DOWN_S + 1)
    second = Guard(ground, "task-second")
    assert second.sweep_until_sure() == 1
    assert second.resumed.runs == [run.run_id]


def test_a_deletion_that_no_taskmanager_takes_now_is_offered_again(ground: Ground, guard: Guard) -> None:
    run = claimed(ground, "instance_delete")
    ground.clock.forward(DOWN_S + 1)
    guard.resumed.refuses = 2

    guard.sweep_until_sure()
    guard.sweep()
    assert guard.resumed.runs == []
    guard.sweep()
    guard.sweep()

    assert guard.resumed.runs == [run.run_id]


def test_an_orphaned_deletion_past_its_deadline_is_ended_and_not_begun_again(
    ground: Ground, guard: Guard
) -> None:
    """As after a night in which everything was off."""
    run = claimed(ground, "instance_delete")
    ground.clock.forward(24 * 3600)

    assert guard.watchdog.recover([run]) == 1

    assert guard.resumed.runs == []
    assert ground.payload("dbaas.instance_delete.error")["error_code"] == "deadline_exceeded"


def test_what_an_earlier_start_left_open_is_recovered_at_once(ground: Ground, guard: Guard) -> None:
    """A standalone control plane knows that nobody else works on its runs, and passes them in."""
    restart, delete = claimed(ground), claimed(ground, "instance_delete")
    handed = ground.one_begun("database_create", ground.has(), dbname="shop")
    ground.lifecycle().hand_over(handed.run_id, "i-1")

    assert guard.watchdog.recover([ground.run(run) for run in (restart, delete, handed)]) == 3

    assert guard.resumed.runs == [delete.run_id]
    assert ground.told(restart)[-1] == "instance_restart.error"
    assert ground.told(handed)[-1] == "database_create.error"


def test_a_service_that_ends_hands_over_its_own_tasks_and_no_other(ground: Ground, guard: Guard) -> None:
    delete = claimed(ground, "instance_delete", by=guard.name)
    restart = claimed(ground, by=guard.name)
    others = claimed(ground, "instance_delete")

    assert guard.watchdog.hand_over() == 2

    assert guard.resumed.runs == [delete.run_id]
    assert ground.told(restart)[-1] == "instance_restart.error"
    assert ground.payload("dbaas.instance_restart.error")["error_code"] == "owner_died"
    assert {delete.run_id, others.run_id} == set(ground.open_runs())


def test_a_run_of_a_newer_control_plane_does_not_stop_the_watch(ground: Ground, guard: Guard) -> None:
    with ground.database.writing() as tx:
        runs.insert(tx, new_run(run_id="newer", operation="instance_teleport"))
    run = ground.one_begun("instance_restart", ground.has())
    ground.clock.forward(3600)

    assert guard.sweep() == 1
    assert ground.told(run) == ["instance_restart.start", "instance_restart.error"]
    assert ground.open_runs() == ["newer"]


# --- the thread, and the sign of life -------------------------------------------------------------


def test_the_watch_goes_on_by_itself_until_it_is_stopped(ground: Ground) -> None:
    guard = Guard(ground, interval_s=0.01)
    guard.watchdog.start()
    run = ground.one_begun("instance_restart", ground.has())
    ground.clock.forward(RESTART_S)

    wait_for(lambda: not ground.open_runs(), 20, "the watchdog to end the run")
    guard.watchdog.stop()

    assert ground.told(run) == ["instance_restart.start", "instance_restart.error"]


def presence(ground: Ground, **options: Any) -> Presence:
    emitter = ground.lifecycle(ServerType.TASK).announcer.emitter
    return Presence(ground.database, emitter, kind="taskmanager", clock=ground.clock, **options)


def test_a_service_that_leaves_runs_open_stays_known_until_they_are_looked_after(
    ground: Ground, guard: Guard
) -> None:
    part = presence(ground)
    part.start()
    alive(ground, "api-1")
    run = ground.one_begun("instance_restart", ground.has())
    ground.lifecycle(ServerType.TASK).claim(run.run_id)

    part.stop()
    assert "task-1" in known(ground)

    ground.clock.forward(DOWN_S + 1)
    alive(ground, "api-1")
    assert guard.sweep_until_sure() == 1
    assert "task-1" not in known(ground)
