"""Configuration groups on real servers: what is offered is true, what is taken counts, nothing locks us out."""

import json

import pytest
from tests.contract.datastores.conftest import NewDriver
from tests.support.tenants import log_in

from coffer.catalogue.errors import GuestFailed, InvalidParameter
from coffer.datastores.driver import DatabaseSpec, Place, UserSpec
from coffer.datastores.parameters import Parameter, as_text
from coffer.datastores.postgresql.driver import PostgresqlDriver
from coffer.datastores.postgresql.offering import DATA_DIR, QUERY, Setting, offered, parameters_of, to_json
from coffer.datastores.postgresql.server import Server
from coffer.datastores.registry import discover

Served = tuple[Place, PostgresqlDriver]

BUILT_DIFFERENTLY = {"default_toast_compression", "wal_compression"}
"""Choices that depend on the libraries that an installation was built with."""


def rows(place: Place, query: str) -> list[tuple[object, ...]]:
    with Server(place).session() as session:
        return list(session.execute(query.encode()))


def value_of(place: Place, name: str) -> object:
    ((value,),) = rows(place, f"select current_setting('{name}')")
    return value


@pytest.fixture
def clean(served: Served) -> Served:
    """The shared server without a configuration group."""
    served[1].apply_configuration({})
    return served


def test_the_committed_parameters_are_those_of_the_real_server(served: Served) -> None:
    place, _ = served
    with Server(place).session() as session:
        real = offered(Setting(*row) for row in session.execute(QUERY.encode()))
    committed = parameters_of(place.version)
    assert committed.keys() == real.keys()
    for name, parameter in real.items():
        if name not in BUILT_DIFFERENTLY:
            assert to_json(committed[name]) == to_json(parameter), name


def test_every_version_on_offer_has_a_file() -> None:
    for datastore in discover():
        for version in datastore.versions:
            assert datastore.parameters(version.name), version


def test_every_parameter_can_stand_in_a_file(clean: Served) -> None:
    place, driver = clean
    found = rows(place, "select name, boot_val from pg_settings where boot_val is not null")
    known = parameters_of(place.version)
    boot = {str(name): str(value) for name, value in found if name in known}
    boot.pop("shared_buffers")  # more than the flavor has
    driver.apply_configuration(
        {name: value for name, value in boot.items() if not known[name].problem(value)}
    )
    wrong = rows(
        place,
        "select name, error from pg_file_settings where error is not null"
        " and error <> 'setting could not be applied'",
    )
    assert wrong == []
    driver.apply_configuration({})
    driver.restart()


def test_a_server_starts_with_the_smallest_values_of_what_needs_a_restart(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    driver.prepare([], [])
    smallest = {
        name: as_text(parameter.minimum)
        for name, parameter in parameters_of(place.version).items()
        if parameter.restart_required and parameter.minimum is not None
    }
    assert len(smallest) > 10

    assert driver.apply_configuration(smallest)
    driver.restart()

    assert value_of(place, "max_connections") == "10"
    driver.create_user(UserSpec(name="ann", password="s3cret-of-ann"))


def test_a_dynamic_parameter_counts_at_once_and_falls_back(clean: Served) -> None:
    place, driver = clean
    before = value_of(place, "random_page_cost")

    assert driver.apply_configuration({"random_page_cost": "2.5", "search_path": 'it\'s, "here"'}) is False
    assert value_of(place, "random_page_cost") == "2.5"

    assert driver.apply_configuration({}) is False
    assert value_of(place, "random_page_cost") == before


def test_another_parameter_waits_for_the_restart(clean: Served) -> None:
    place, driver = clean
    before = value_of(place, "max_connections")

    assert driver.apply_configuration({"max_connections": "33"}) is True
    assert value_of(place, "max_connections") == before
    driver.restart()
    assert value_of(place, "max_connections") == "33"

    assert driver.apply_configuration({}) is True
    driver.restart()
    assert value_of(place, "max_connections") == before


def test_what_was_taken_back_in_time_needs_no_restart(clean: Served) -> None:
    _, driver = clean
    assert driver.apply_configuration({"max_locks_per_transaction": "100", "max_connections": "33"}) is True
    assert driver.apply_configuration({}) is False


REFUSED = [
    ({"TimeZone": "Mars/Olympus"}, "TimeZone"),
    ({"shared_buffers": "1GB"}, "128 MiB"),
    ({"max_connections": "200000"}, "128 MiB"),
    ({"no_such_parameter": "1"}, "no_such_parameter"),
    ({"work_mem": "a lot"}, "work_mem"),
]


@pytest.mark.parametrize(("parameters", "said"), REFUSED)
def test_what_the_server_would_not_start_with_is_refused_and_nothing_changes(
    clean: Served, parameters: dict[str, str], said: str
) -> None:
    place, driver = clean
    driver.apply_configuration({"random_page_cost": "3"})

    for attempt in (driver.check_configuration, driver.apply_configuration):
        with pytest.raises(InvalidParameter) as refusal:
            attempt(parameters)
        assert said in refusal.value.message
        assert str(place.directory) not in refusal.value.message

    assert value_of(place, "random_page_cost") == "3"
    assert list(place.directory.glob("trial-*")) == []


def test_a_group_leaves_room_for_the_transactions_that_are_prepared(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    driver.prepare([DatabaseSpec("shop")], [UserSpec("bob", "bob's", databases=("shop",))])
    driver.apply_configuration({"max_prepared_transactions": "1"})
    driver.restart()
    with log_in(place, "bob", "bob's", "shop") as session:
        session.execute("begin")
        session.execute("create table kept ()")
        session.execute("prepare transaction 'one'")

        for parameters in ({}, {"max_prepared_transactions": "0"}, {"work_mem": "1MB"}):
            with pytest.raises(InvalidParameter, match="must be 1 at least"):
                driver.apply_configuration(parameters)
        driver.restart()

    with log_in(place, "bob", "bob's", "shop") as session:
        session.execute("commit prepared 'one'")
    assert driver.apply_configuration({}) is True
    driver.restart()


def test_a_group_does_not_lock_the_administrator_out(clean: Served) -> None:
    _, driver = clean
    known = parameters_of(clean[0].version)
    impatient = {
        name: "1"
        for name in (
            *("idle_in_transaction_session_timeout", "idle_session_timeout", "lock_timeout"),
            *("statement_timeout", "tcp_user_timeout"),
        )
        if name in known
    }
    driver.apply_configuration({**impatient, "DateStyle": "SQL, DMY", "standard_conforming_strings": "off"})

    driver.create_user(UserSpec(name="o'neil", password="it's \\ a secret"))

    assert [user.name for user in driver.list_users()] == ["o'neil"]
    driver.delete_user("o'neil", "%")


def test_a_server_that_was_down_starts_with_what_it_was_given_meanwhile(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    driver.prepare([], [])
    driver.stop()

    assert driver.apply_configuration({"max_connections": "21"}) is False
    driver.start()

    assert value_of(place, "max_connections") == "21"


def test_a_server_that_does_not_answer_keeps_what_it_had(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    driver.prepare([], [])
    driver.apply_configuration({"random_page_cost": "3"})
    secret = (place.directory / "admin.secret").read_text()
    (place.directory / "admin.secret").write_text("wrong")

    with pytest.raises(GuestFailed):
        driver.apply_configuration({"random_page_cost": "2"})
    # What is to cure a server does not ask it first.
    assert driver.apply_configuration({"random_page_cost": "1.5"}, is_restarting=True) is False

    (place.directory / "admin.secret").write_text(secret)
    driver.restart()
    assert value_of(place, "random_page_cost") == "1.5"


def test_nothing_dangerous_is_offered() -> None:
    words = ("command", "library", "libraries", "preload", "file", "directory", "password", "listen", "hba")
    harmless = {
        *("log_replication_commands", "log_temp_files", "temp_file_limit", "max_files_per_process"),
        *("file_extend_method", "file_copy_method"),
    }
    for version in ("14", "15", "16", "17", "18"):
        names = parameters_of(version).keys()
        assert {name for name in names if any(word in name for word in words)} <= harmless
        assert names.isdisjoint({"fsync", "full_page_writes", "port", "log_statement", "primary_conninfo"})


def test_the_files_hold_nothing_but_parameters() -> None:
    for path in DATA_DIR.glob("*.json"):
        for name, row in json.loads(path.read_text()).items():
            assert isinstance(parameters_of(path.stem)[name], Parameter), name
            assert row["type"] in {"boolean", "integer", "float", "string"}
