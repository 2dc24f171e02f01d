"""Another memory and another volume for a real PostgreSQL, and what happens when they do not suit it."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.support.tenants import log_in, write_and_read
from tests.support.waiting import wait_for

from coffer.catalogue.errors import GuestFailed
from coffer.catalogue.states import ServiceStatus
from coffer.datastores.driver import DatabaseSpec, Place, UserSpec
from coffer.datastores.postgresql.driver import PostgresqlDriver

NewDriver = Callable[..., tuple[Place, PostgresqlDriver]]

GIB = 2**30
TOO_MUCH_MIB = 2**31 - 1
"""A quarter of it is more than the server can ever count as shared buffers."""


def prepared(new_driver: NewDriver, **changes: object) -> tuple[Place, PostgresqlDriver]:
    place, driver = new_driver(**changes)
    driver.prepare([DatabaseSpec("shop")], [UserSpec("bob", "bob's", databases=("shop",))])
    return place, driver


def setting(place: Place, name: str) -> str:
    with log_in(place, "bob", "bob's", "shop") as session:
        row = session.execute("select current_setting(%s)", [name]).fetchone()
        assert row is not None
        return str(row[0])


def started_at(place: Place) -> str:
    with log_in(place, "bob", "bob's", "shop") as session:
        row = session.execute("select pg_postmaster_start_time()::text").fetchone()
        assert row is not None
        return str(row[0])


def ballast(place: Place, gib: float) -> Path:
    """Take up room on the volume without writing it."""
    path = place.directory / "data" / "ballast"
    with path.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, int(gib * GIB))
    return path


def test_another_memory_is_divided_anew_and_the_data_stays(new_driver: NewDriver) -> None:
    place, driver = prepared(new_driver, ram_mib=128)
    assert setting(place, "shared_buffers") == "32MB"
    with log_in(place, "bob", "bob's", "shop") as session:
        session.execute("create table kept (n int)")

    driver.resize(256)

    assert setting(place, "shared_buffers") == "64MB"
    assert setting(place, "max_connections") == "32"
    with log_in(place, "bob", "bob's", "shop") as session:
        assert session.execute("select count(*) from kept").fetchone() == (0,)


def test_the_memory_that_it_has_already_needs_no_restart(new_driver: NewDriver) -> None:
    place, driver = prepared(new_driver, ram_mib=128)
    before = started_at(place)

    driver.resize(128)

    assert started_at(place) == before


def test_an_agent_that_was_told_of_the_new_memory_still_has_to_restart_the_old_server(
    new_driver: NewDriver,
) -> None:
    place, _ = prepared(new_driver, ram_mib=128)
    successor = PostgresqlDriver(replace(place, ram_mib=256))

    successor.resize(256)

    assert setting(place, "shared_buffers") == "64MB"


def test_a_server_that_is_down_comes_up_with_the_new_memory(new_driver: NewDriver) -> None:
    place, driver = prepared(new_driver, ram_mib=128)
    driver.stop()

    driver.resize(256)

    assert setting(place, "shared_buffers") == "64MB"


def test_a_memory_that_the_server_cannot_have_leaves_it_running_with_the_old_one(
    new_driver: NewDriver,
) -> None:
    place, driver = prepared(new_driver, ram_mib=128)

    with pytest.raises(GuestFailed, match="did not start") as failure:
        driver.resize(TOO_MUCH_MIB)

    assert str(place.directory) not in failure.value.message
    assert driver.status() is ServiceStatus.HEALTHY
    assert setting(place, "shared_buffers") == "32MB"
    driver.restart()
    assert setting(place, "shared_buffers") == "32MB"


def test_a_larger_volume_is_reckoned_with_while_the_server_serves(new_driver: NewDriver) -> None:
    place, driver = prepared(new_driver, volume_gib=1)
    before = started_at(place)
    assert setting(place, "max_wal_size") == "128MB"

    driver.resize_volume(4)

    wait_for(lambda: setting(place, "max_wal_size") == "512MB", 10, "the server to read its settings")
    assert started_at(place) == before


def test_what_is_used_is_what_lies_on_the_disk(new_driver: NewDriver) -> None:
    place, driver = new_driver()
    assert driver.keep_to_volume() == 0
    driver.prepare([], [])
    empty = driver.keep_to_volume()
    assert empty is not None
    assert 10_000_000 < empty < 500_000_000

    ballast(place, 0.5)

    full = driver.keep_to_volume()
    assert full is not None
    assert full - empty == pytest.approx(GIB / 2, rel=0.1)


def test_a_full_volume_makes_the_server_read_only_until_there_is_room(new_driver: NewDriver) -> None:
    place, driver = prepared(new_driver, volume_gib=1)
    path = ballast(place, 0.97)

    driver.keep_to_volume()

    wait_for(
        lambda: setting(place, "default_transaction_read_only") == "on", 10, "the server to be read-only"
    )
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        write_and_read(place, "bob", "bob's", "shop")
    with log_in(place, "bob", "bob's", "shop") as session, session.transaction():
        session.execute("set transaction read write")  # the way to make room
        session.execute("create table t (n int)")
    driver.create_user(UserSpec("ann", "ann's"))
    driver.restart()
    assert setting(place, "default_transaction_read_only") == "on"

    path.unlink()
    driver.keep_to_volume()

    wait_for(
        lambda: setting(place, "default_transaction_read_only") == "off", 10, "the server to be writable"
    )
    assert write_and_read(place, "bob", "bob's", "shop") == 42


def test_between_the_two_marks_nothing_changes(new_driver: NewDriver) -> None:
    place, driver = prepared(new_driver, volume_gib=1)
    ballast(place, 0.86)  # the data comes on top

    driver.keep_to_volume()
    assert setting(place, "default_transaction_read_only") == "off"


def test_a_larger_volume_makes_the_server_writable_at_once(new_driver: NewDriver) -> None:
    place, driver = prepared(new_driver, volume_gib=1)
    ballast(place, 0.97)
    driver.keep_to_volume()
    wait_for(
        lambda: setting(place, "default_transaction_read_only") == "on", 10, "the server to be read-only"
    )

    driver.resize_volume(2)

    wait_for(
        lambda: setting(place, "default_transaction_read_only") == "off", 10, "the server to be writable"
    )


def test_a_server_without_a_volume_is_never_full(new_driver: NewDriver) -> None:
    place, driver = prepared(new_driver, volume_gib=None)
    ballast(place, 1.5)

    assert (driver.keep_to_volume() or 0) > GIB
    assert setting(place, "default_transaction_read_only") == "off"


def test_links_of_a_tenant_lead_the_measurement_nowhere(new_driver: NewDriver) -> None:
    place, driver = prepared(new_driver)
    before = driver.keep_to_volume()
    (place.directory / "data" / "link").symlink_to("/usr")

    after = driver.keep_to_volume()

    assert before is not None
    assert after is not None
    assert after - before < 50_000_000
