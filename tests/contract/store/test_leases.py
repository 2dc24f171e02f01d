"""Leases: one holder at a time, taken over when it is gone."""

from datetime import timedelta

from tests.support.rows import NOON
from tests.support.threads import together

from coffer.store import leases
from coffer.store.database import Database

TTL_S = 5.0


def acquired(database: Database, holder: str, after_s: float, name: str = "relay") -> bool:
    with database.writing() as tx:
        return leases.acquire(tx, name, holder, NOON + timedelta(seconds=after_s), TTL_S)


def held(database: Database, after_s: float, name: str = "relay") -> str | None:
    with database.reading() as tx:
        return leases.holder(tx, name, NOON + timedelta(seconds=after_s))


def test_a_lease_keeps_the_others_out_until_it_expires(database: Database) -> None:
    assert acquired(database, "a", 0)
    assert not acquired(database, "b", 4.999999)
    assert held(database, 4.999999) == "a"
    assert held(database, 5) is None
    assert acquired(database, "b", 5)
    assert not acquired(database, "a", 6)


def test_a_holder_renews_its_lease(database: Database) -> None:
    assert acquired(database, "a", 0)
    assert acquired(database, "a", 4)
    assert not acquired(database, "b", 8.9)
    assert acquired(database, "b", 9)


def test_a_renewal_with_a_clock_that_was_set_back_counts(database: Database) -> None:
    assert acquired(database, "a", 3600)
    assert acquired(database, "a", 0)
    assert acquired(database, "b", 5)


def test_a_dead_holder_whose_clock_was_wrong_does_not_keep_its_lease_for_hours(database: Database) -> None:
    assert acquired(database, "a", 3600)
    assert acquired(database, "b", 0)


def test_a_holder_whose_clock_is_a_little_ahead_keeps_its_lease(database: Database) -> None:
    assert acquired(database, "a", 2)
    assert not acquired(database, "b", 0)


def test_an_expired_lease_that_nobody_took_is_renewed(database: Database) -> None:
    assert acquired(database, "a", 0)
    assert acquired(database, "a", 60)
    assert held(database, 61) == "a"


def test_a_released_lease_is_free_at_once_and_only_its_holder_releases_it(database: Database) -> None:
    assert acquired(database, "a", 0)
    with database.writing() as tx:
        assert not leases.release(tx, "relay", "b")
        assert leases.release(tx, "relay", "a")
        assert not leases.release(tx, "relay", "a")
    assert acquired(database, "b", 1)


def test_leases_of_different_names_do_not_know_each_other(database: Database) -> None:
    assert acquired(database, "a", 0, name="relay")
    assert acquired(database, "b", 0, name="exists")


def test_of_sixteen_that_want_a_new_lease_exactly_one_gets_it(database: Database) -> None:
    won = together(16, lambda number: acquired(database, f"holder-{number}", 0))
    assert sum(won) == 1
    assert held(database, 1) == f"holder-{won.index(True)}"


def test_of_sixteen_that_take_over_an_expired_lease_exactly_one_gets_it(database: Database) -> None:
    assert acquired(database, "dead", 0)
    won = together(16, lambda number: acquired(database, f"holder-{number}", 60))
    assert sum(won) == 1
    assert held(database, 61) == f"holder-{won.index(True)}"
