"""What MariaDB does otherwise than the others, and must not be noticed above the store."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event  # noqa: TID251  (to interrupt a migration)
from tests.support.mariadb_server import MariadbServer
from tests.support.rows import NOON, new_instance, new_message, new_run

from coffer.store import configurations, guest_channels, instances, migrate, outbox, quotas, runs
from coffer.store.database import Database
from coffer.store.errors import StoreContended, StoreRefused, StoreUnavailable
from coffer.store.guest_channels import GuestChannel

pytestmark = pytest.mark.mariadb


class InterruptionError(BaseException):
    """A process that ends; nothing of coffer catches it."""


@pytest.fixture
def database(mariadb_url: str) -> Iterator[Database]:
    opened = Database(mariadb_url)
    yield opened
    opened.close()


def named(database: Database) -> str:
    return database.name.rpartition("/")[2]


def test_every_text_is_compared_by_its_code_points_and_every_table_can_be_rolled_back(
    mariadb_server: MariadbServer, database: Database
) -> None:
    columns = mariadb_server.run(
        "SELECT table_name, column_name, collation_name FROM information_schema.columns"
        f" WHERE collation_name IS NOT NULL AND table_schema = '{named(database)}' AND table_name <> 'alembic_version'"
    )
    assert len(columns) > 50
    assert {collation for _, _, collation in columns} == {"utf8mb4_nopad_bin"}
    engines = mariadb_server.run(
        f"SELECT DISTINCT engine FROM information_schema.tables WHERE table_schema = '{named(database)}'"
    )
    assert engines == (("InnoDB",),)


@pytest.mark.parametrize("other", ["ACME", "acme ", "acmé", "a\u0301cme"])
def test_projects_that_look_alike_are_different_ones(database: Database, other: str) -> None:
    instance = new_instance(project_id="acme")
    with database.writing() as tx:
        instances.insert(tx, instance)
        quotas.take_turn(tx, "acme", NOON)
        quotas.take_turn(tx, other, NOON)
        assert instances.find(tx, other, instance.id) is None
        assert instances.page(tx, other, 10) == []
        assert quotas.projects(tx, limit=10) == sorted(["acme", other])


def test_a_value_that_does_not_fit_is_refused_and_not_cut(database: Database) -> None:
    with pytest.raises(StoreRefused), database.writing() as tx:
        instances.insert(tx, new_instance(name="x" * 256))


def test_long_texts_and_bodies_fit(database: Database) -> None:
    run = new_run(context="é" * 100_000)
    with database.writing() as tx:
        runs.insert(tx, run)
        outbox.append(tx, [new_message(body=bytes(range(256)) * 1000)])
    with database.reading() as tx:
        assert runs.get(tx, run.run_id) == run
        assert outbox.head(tx, 1)[0].body == bytes(range(256)) * 1000


def test_a_row_that_is_found_counts_whether_it_changes_or_not(database: Database) -> None:
    instance = new_instance()
    with database.writing() as tx:
        instances.insert(tx, instance)
        for _ in range(2):
            assert instances.update(tx, instance.id, NOON, name="the same")
        assert not instances.update(tx, "none", NOON, name="the same")


def test_the_open_runs_are_found_by_an_index(mariadb_server: MariadbServer, database: Database) -> None:
    with database.writing() as tx:
        for number in range(300):
            runs.insert(tx, new_run(ended_at=None if number < 3 else NOON))
    mariadb_server.run("ANALYZE TABLE runs", database=named(database))
    for condition in (
        "",
        "AND deadline_at <= '2030-01-01'",
        "AND instance_id = 'i'",
        "AND handed_to IS NULL",
    ):
        ((*_, key, _, _, rows, _),) = mariadb_server.run(
            f"EXPLAIN SELECT * FROM runs WHERE ended_at IS NULL {condition} ORDER BY deadline_at, run_id",
            database=named(database),
        )
        assert key == "ix_runs_open"
        assert int(str(rows)) < 30  # an estimate


def test_an_ending_waits_for_no_other_run_and_a_relay_for_no_writer(database: Database) -> None:
    """Locks of rows that a statement merely looks at would make everybody wait for everybody."""
    first, second = new_run(instance_id="i-1", operation="x"), new_run(instance_id="i-2", operation="x")
    with database.writing() as tx:
        runs.insert(tx, first)
        runs.insert(tx, second)
        outbox.append(tx, [new_message() for _ in range(3)])
    with database.reading() as tx:
        waiting = [row.id for row in outbox.head(tx, 10)]
    done: list[object] = []

    def others() -> None:
        with database.writing() as tx:
            tx.exec_driver_sql("SET SESSION innodb_lock_wait_timeout = 1")
            done.append(runs.end(tx, second.run_id, NOON, ending="end"))
        with database.writing() as tx:
            tx.exec_driver_sql("SET SESSION innodb_lock_wait_timeout = 1")
            done.append(outbox.delete(tx, waiting))
        with database.writing() as tx:
            tx.exec_driver_sql("SET SESSION innodb_lock_wait_timeout = 1")
            third = new_run(instance_id="i-3", operation="x")
            runs.insert(tx, third)
            done.append(runs.set_previous_state(tx, "i-3", ["x"], "ACTIVE"))

    with database.writing() as tx:
        runs.end(tx, first.run_id, NOON, ending="end")
        runs.insert(tx, new_run())
        outbox.append(tx, [new_message()])
        thread = threading.Thread(target=others)
        thread.start()
        thread.join(30)
    assert done == [True, 3, True]


def test_the_messages_of_one_guest_do_not_wait_for_those_of_another(database: Database) -> None:
    with database.writing() as tx:
        for guest in ("i-1", "i-2", "i-3"):
            guest_channels.insert(tx, GuestChannel(guest, 1, "wrapped", NOON))
    done: list[object] = []

    def others() -> None:
        with database.writing() as tx:
            tx.exec_driver_sql("SET SESSION innodb_lock_wait_timeout = 1")
            done.append(guest_channels.of_instance(tx, "i-2", to_change=True)[0].instance_id)
            done.append(guest_channels.remove(tx, "i-3"))
            guest_channels.insert(tx, GuestChannel("i-4", 1, "wrapped", NOON))

    with database.writing() as tx:
        guest_channels.of_instance(tx, "i-1", to_change=True)
        thread = threading.Thread(target=others)
        thread.start()
        thread.join(30)
    assert done == ["i-2", True]


def in_each_others_way(
    database: Database, first: str, second: str, *, savepoint: bool
) -> list[BaseException | None]:
    """Let two transactions update two instances in opposite orders; return what became of each."""
    both = threading.Barrier(2, timeout=20)
    outcomes: list[BaseException | None] = [None, None]

    def work(number: int, order: tuple[str, str]) -> None:
        try:
            with database.writing() as tx:
                instances.update(tx, order[0], NOON, name=f"{number}")
                both.wait()
                if not savepoint:
                    instances.update(tx, order[1], NOON, name=f"{number}")
                else:
                    with database.savepoint(tx):
                        instances.update(tx, order[1], NOON, name=f"{number}")
        except BaseException as error:  # noqa: BLE001  (the test looks at it)
            outcomes[number] = error

    threads = [
        threading.Thread(target=work, args=(number, order))
        for number, order in enumerate([(first, second), (second, first)])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return outcomes


@pytest.mark.parametrize("savepoint", [False, True])
def test_a_deadlock_is_called_one_and_nothing_of_the_loser_stays(database: Database, savepoint: bool) -> None:
    one, other = new_instance(), new_instance()
    with database.writing() as tx:
        instances.insert(tx, one)
        instances.insert(tx, other)
    outcomes = in_each_others_way(database, one.id, other.id, savepoint=savepoint)
    (winner,) = [number for number, outcome in enumerate(outcomes) if outcome is None]
    assert isinstance(outcomes[1 - winner], StoreContended)
    with database.reading() as tx:
        rows = [instances.get(tx, each.id) for each in (one, other)]
    assert [row.name for row in rows if row is not None] == [f"{winner}"] * 2


def test_a_transaction_that_the_server_has_undone_cannot_be_gone_on_with(database: Database) -> None:
    """Whoever swallowed the error would write the second half of a change alone."""
    instance, held = new_instance(), new_instance()
    with database.writing() as tx:
        instances.insert(tx, instance)
        instances.insert(tx, held)
    with database.writing() as other:
        instances.update(other, held.id, NOON, name="held")

        def go_on() -> None:
            with database.writing() as tx:
                instances.update(tx, instance.id, NOON, name="first half")
                tx.exec_driver_sql("SET SESSION innodb_lock_wait_timeout = 1")
                with pytest.raises(StoreContended), database.savepoint(tx):
                    instances.update(tx, held.id, NOON, name="no")
                instances.update(tx, instance.id, NOON, name="second half")

        failures: list[BaseException] = []
        thread = threading.Thread(target=lambda: failures.append(failure_of(go_on)))
        thread.start()
        thread.join(30)
    assert failures
    with database.reading() as tx:
        found = instances.get(tx, instance.id)
    assert found == instance


def failure_of(work: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as failure:
        work()
    return failure.value


def test_a_configuration_group_that_is_locked_is_locked_although_nothing_of_it_changes(
    database: Database,
) -> None:
    group = configurations.Configuration("c", "p", "n", None, "postgresql", "17", "{}", NOON, NOON)
    with database.writing() as tx:
        configurations.insert(tx, group)
    outcome: list[BaseException] = []

    def other() -> None:
        with database.writing() as tx:
            tx.exec_driver_sql("SET SESSION innodb_lock_wait_timeout = 1")
            configurations.lock(tx, "c")

    with database.writing() as tx:
        assert configurations.lock(tx, "c") == group
        thread = threading.Thread(target=lambda: outcome.append(failure_of(other)))
        thread.start()
        thread.join(30)
    assert isinstance(outcome[0], StoreContended)


def test_two_who_allocate_first_at_once_go_one_after_the_other(database: Database) -> None:
    """The row is not there yet: who comes second must not be told of a deadlock."""
    outcomes: list[BaseException | None] = []
    start = threading.Barrier(8, timeout=20)

    def allocate() -> None:
        try:
            start.wait()
            with database.writing() as tx:
                quotas.take_turn(tx, "new", NOON)
                instances.insert(tx, new_instance(project_id="new"))
        except BaseException as error:  # noqa: BLE001  (the test looks at it)
            outcomes.append(error)
        else:
            outcomes.append(None)

    threads = [threading.Thread(target=allocate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcomes == [None] * 8


def test_a_server_that_is_frozen_holds_nobody_for_ever(
    mariadb_server: MariadbServer, mariadb_url: str
) -> None:
    database = Database(f"{mariadb_url}?read_timeout=1")
    with database.writing() as tx:
        outbox.append(tx, [new_message()])
    os.kill(mariadb_server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable), database.writing() as tx:
            outbox.append(tx, [new_message()])
    finally:
        os.kill(mariadb_server.pid, signal.SIGCONT)
    with database.reading() as tx:
        assert outbox.backlog(tx).count == 1
    database.close()


def test_a_server_that_was_made_read_only_is_trouble_of_the_server(
    mariadb_server: MariadbServer, database: Database
) -> None:
    mariadb_server.run("SET GLOBAL read_only = 1")
    try:
        with pytest.raises(StoreUnavailable, match="read-only"), database.writing() as tx:
            outbox.append(tx, [new_message()])
    finally:
        mariadb_server.run("SET GLOBAL read_only = 0")


# --- migrations -----------------------------------------------------------------------------------


@pytest.fixture
def empty(mariadb_server: MariadbServer) -> Iterator[str]:
    name = mariadb_server.create_database()
    yield name
    mariadb_server.drop_database(name)


@contextmanager
def interrupted(moment: str, *, changes: int) -> Iterator[None]:
    """End the migration before or after the change of tables number `changes` that it makes."""
    seen = 0

    def watch(_connection: object, _cursor: object, statement: str, *_: Any) -> None:
        nonlocal seen
        if statement.strip().startswith(("CREATE", "ALTER", "DROP")):
            seen += 1
            if seen == changes:
                raise InterruptionError

    event.listen(Engine, moment, watch)
    try:
        yield
    finally:
        event.remove(Engine, moment, watch)


@pytest.mark.parametrize(("moment", "changes"), [("before_cursor_execute", 6), ("after_cursor_execute", 3)])
def test_a_migration_that_is_interrupted_again_and_again_gets_there(
    mariadb_server: MariadbServer, mariadb_template: str, empty: str, moment: str, changes: int
) -> None:
    url = mariadb_server.url(empty)
    interruptions = 0
    while not migrate.is_current(url):
        # The one that was in doubt counts, and perhaps the table that notes how far it has come.
        with interrupted(moment, changes=changes):
            try:
                migrate.upgrade(url)
            except InterruptionError:
                interruptions += 1
        assert interruptions < 60
    migrate.upgrade(url)
    assert interruptions > 2
    for table in mariadb_server.tables(mariadb_template):
        here, there = (
            mariadb_server.run(f"SHOW CREATE TABLE {name}.{table}") for name in (empty, mariadb_template)
        )
        assert here == there


def test_a_table_of_somebody_else_is_never_taken_for_ours(mariadb_server: MariadbServer, empty: str) -> None:
    mariadb_server.run("CREATE TABLE instances (id VARCHAR(36) PRIMARY KEY)", database=empty)
    for _ in range(3):
        with pytest.raises(StoreRefused, match="1050"):
            migrate.upgrade(mariadb_server.url(empty))
    mariadb_server.run("DROP TABLE instances", database=empty)
    migrate.upgrade(mariadb_server.url(empty))
    assert migrate.is_current(mariadb_server.url(empty))
