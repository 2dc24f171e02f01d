"""Instances: who sees them, how they move, what the guest says of them."""

from datetime import timedelta

import pytest
from tests.support.rows import NOON, new_instance
from tests.support.threads import together

from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.store import instances
from coffer.store.database import Database
from coffer.store.instances import Instance

SECOND = timedelta(seconds=1)


def added(database: Database, *rows: Instance) -> None:
    with database.writing() as tx:
        for row in rows:
            instances.insert(tx, row)


def fetched(database: Database, instance: Instance) -> Instance:
    with database.reading() as tx:
        found = instances.get(tx, instance.id)
    assert found is not None
    return found


def test_an_instance_is_found_by_its_project_only(database: Database) -> None:
    instance = new_instance()
    added(database, instance)
    with database.reading() as tx:
        assert instances.find(tx, "project-1", instance.id) == instance
        assert instances.find(tx, "project-2", instance.id) is None
        assert instances.get(tx, instance.id) == instance
        assert instances.get(tx, "unknown") is None


def test_a_deleted_instance_is_kept_but_no_longer_found(database: Database) -> None:
    instance = new_instance(state=InstanceState.SHUTDOWN)
    added(database, instance)
    with database.writing() as tx:
        assert instances.move(tx, instance.id, {"SHUTDOWN"}, InstanceState.DELETED, NOON)
        assert not instances.move(tx, instance.id, None, InstanceState.ACTIVE, NOON)
        assert instances.find(tx, "project-1", instance.id) is None
        assert instances.live(tx) == []
        assert instances.page(tx, "project-1", 20) == []
    assert fetched(database, instance).deleted_at == NOON
    assert fetched(database, instance).state is InstanceState.DELETED


def test_states_come_back_as_members_of_their_enums(database: Database) -> None:
    instance = new_instance(state=InstanceState.RESTART_REQUIRED, service_status=ServiceStatus.HEALTHY)
    added(database, instance)
    assert fetched(database, instance).state is InstanceState.RESTART_REQUIRED
    assert fetched(database, instance).service_status is ServiceStatus.HEALTHY


def test_a_move_is_refused_from_another_state(database: Database) -> None:
    instance = new_instance()
    added(database, instance)
    with database.writing() as tx:
        assert not instances.move(tx, instance.id, {"ACTIVE"}, InstanceState.REBOOT, NOON)
        assert not instances.move(tx, instance.id, set(), InstanceState.REBOOT, NOON)
        assert not instances.move(tx, "unknown", None, InstanceState.REBOOT, NOON)
    assert fetched(database, instance) == instance


def test_of_sixteen_that_move_an_instance_exactly_one_wins(database: Database) -> None:
    instance = new_instance(state=InstanceState.ACTIVE)
    added(database, instance)

    def work(_number: int) -> bool:
        with database.writing() as tx:
            return instances.move(tx, instance.id, {"ACTIVE"}, InstanceState.REBOOT, NOON)

    assert sorted(together(16, work)) == [False] * 15 + [True]


def test_the_loser_of_a_move_may_go_on_in_its_transaction(database: Database) -> None:
    instance = new_instance(state=InstanceState.ACTIVE)
    added(database, instance)

    def work(number: int) -> bool:
        with database.writing() as tx:
            with database.savepoint(tx):
                won = instances.move(tx, instance.id, {"ACTIVE"}, InstanceState.REBOOT, NOON)
            instances.insert(tx, new_instance(name=f"from-{number}"))
            return won

    assert sum(together(8, work)) == 1
    with database.reading() as tx:
        assert len(instances.live(tx)) == 9


def test_columns_are_updated_by_name(database: Database) -> None:
    instance = new_instance()
    added(database, instance)
    with database.writing() as tx:
        assert instances.update(tx, instance.id, NOON + SECOND, host="127.0.0.1", port=5433, volume_gib=None)
        assert not instances.update(tx, "unknown", NOON, port=1)
    found = fetched(database, instance)
    assert (found.host, found.port, found.volume_gib) == ("127.0.0.1", 5433, None)
    assert found.updated_at == NOON + SECOND


def test_an_unknown_column_is_a_programmers_error(database: Database) -> None:
    instance = new_instance()
    added(database, instance)
    with pytest.raises(Exception, match="colour"), database.writing() as tx:
        instances.update(tx, instance.id, NOON, colour="x")


def test_heartbeats_never_go_backwards(database: Database) -> None:
    instance = new_instance()
    added(database, instance)
    with database.writing() as tx:
        assert instances.heartbeat(tx, instance.id, ServiceStatus.BUILDING, NOON)
        assert instances.heartbeat(tx, instance.id, ServiceStatus.HEALTHY, NOON + SECOND)
        assert not instances.heartbeat(tx, instance.id, ServiceStatus.SHUTDOWN, NOON)
        assert not instances.heartbeat(tx, instance.id, ServiceStatus.SHUTDOWN, NOON + SECOND)
    found = fetched(database, instance)
    assert found.service_status is ServiceStatus.HEALTHY
    assert found.service_seen_at == NOON + SECOND
    assert found.updated_at == NOON


def test_heartbeats_that_overtake_each_other_leave_the_newest(database: Database) -> None:
    instance = new_instance()
    added(database, instance)

    def work(number: int) -> None:
        with database.writing() as tx:
            instances.heartbeat(tx, instance.id, ServiceStatus.HEALTHY, NOON + number * SECOND)

    together(16, work)
    assert fetched(database, instance).service_seen_at == NOON + 15 * SECOND


def test_a_deleted_instance_has_no_heartbeat(database: Database) -> None:
    instance = new_instance(deleted_at=NOON, state=InstanceState.DELETED)
    added(database, instance)
    with database.writing() as tx:
        assert not instances.heartbeat(tx, instance.id, ServiceStatus.HEALTHY, NOON)


def test_a_fault_is_set_and_cleared(database: Database) -> None:
    instance = new_instance()
    added(database, instance)
    with database.writing() as tx:
        assert instances.set_fault(tx, instance.id, "cloud_failed", "No port is free.", NOON + SECOND)
    found = fetched(database, instance)
    assert (found.fault_code, found.fault_message) == ("cloud_failed", "No port is free.")
    assert found.fault_at == NOON + SECOND
    with database.writing() as tx:
        assert instances.clear_fault(tx, instance.id, NOON)
        assert not instances.clear_fault(tx, instance.id, NOON)
    found = fetched(database, instance)
    assert (found.fault_code, found.fault_message, found.fault_at) == (None, None, None)


def pages(database: Database, limit: int, *, include_clustered: bool = True) -> list[list[str]]:
    found: list[list[str]] = []
    marker = None
    while True:
        with database.reading() as tx:
            page = instances.page(tx, "project-1", limit, marker, include_clustered=include_clustered)
        if not page:
            return found
        found.append([instance.id for instance in page])
        marker = page[-1].id


def test_pages_show_each_instance_once_the_newest_first(database: Database) -> None:
    # Three share each moment, so that a page may end in the middle of them.
    rows = [new_instance(created_at=NOON + number // 3 * SECOND) for number in range(10)]
    added(database, *rows, new_instance(project_id="project-2"))
    wanted = [row.id for row in sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)]
    for limit in (1, 4, 10, 20):
        found = pages(database, limit)
        assert [each for page in found for each in page] == wanted
        assert all(len(page) == limit for page in found[:-1])


def test_a_marker_that_was_deleted_meanwhile_still_marks_its_place(database: Database) -> None:
    rows = [new_instance(created_at=NOON + number * SECOND) for number in range(3)]
    added(database, *rows)
    with database.writing() as tx:
        instances.move(tx, rows[1].id, None, InstanceState.DELETED, NOON)
        assert [each.id for each in instances.page(tx, "project-1", 5, rows[1].id)] == [rows[0].id]


def test_after_a_marker_of_another_project_comes_nothing(database: Database) -> None:
    foreign = new_instance(project_id="project-2", created_at=NOON + SECOND)
    added(database, new_instance(), foreign)
    with database.reading() as tx:
        assert instances.page(tx, "project-1", 5, foreign.id) == []
        assert instances.page(tx, "project-1", 5, "unknown") == []


def test_members_of_clusters_can_be_left_out(database: Database) -> None:
    single, member = new_instance(), new_instance(cluster_id="c-1")
    added(database, single, member)
    assert sorted(*pages(database, 5)) == sorted([single.id, member.id])
    assert pages(database, 5, include_clustered=False) == [[single.id]]


def test_live_instances_are_those_of_all_projects(database: Database) -> None:
    rows = [new_instance(), new_instance(project_id="project-2"), new_instance(state=InstanceState.ERROR)]
    added(database, *rows)
    with database.reading() as tx:
        assert sorted(instances.live(tx)) == sorted(row.id for row in rows)
