"""Services: who says that it lives, and who has not for long."""

from dataclasses import replace
from datetime import timedelta

from tests.support.rows import NOON, new_service

from coffer.store import services
from coffer.store.database import Database

LATER = NOON + timedelta(seconds=30)


def test_services_are_listed_by_kind(database: Database) -> None:
    task, api = new_service(), new_service(kind="api")
    with database.writing() as tx:
        services.register(tx, task)
        services.register(tx, api)
        assert services.list_all(tx) == [api, task]


def test_registering_again_replaces_what_was_known(database: Database) -> None:
    service = new_service()
    again = replace(service, pid=4712, started_at=LATER, seen_at=LATER)
    with database.writing() as tx:
        services.register(tx, service)
        services.register(tx, again)
        assert services.list_all(tx) == [again]


def test_a_service_is_dead_when_it_has_been_silent_for_too_long(database: Database) -> None:
    silent, lively = new_service(), new_service()
    with database.writing() as tx:
        services.register(tx, silent)
        services.register(tx, lively)
        assert services.beat(tx, lively.id, LATER)
        assert services.dead(tx, LATER, 30) == []
        assert services.dead(tx, LATER, 29.999) == [silent]


def test_a_service_that_was_removed_learns_it_at_its_next_beat(database: Database) -> None:
    service = new_service()
    with database.writing() as tx:
        services.register(tx, service)
        assert services.remove(tx, service.id)
        assert not services.remove(tx, service.id)
        assert not services.beat(tx, service.id, LATER)
        assert services.list_all(tx) == []
