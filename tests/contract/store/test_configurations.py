"""Configuration groups in the database."""

from datetime import timedelta

import pytest
from tests.support.rows import NOON, new_instance

from coffer.store import configurations, instances
from coffer.store.configurations import Configuration
from coffer.store.database import Database

LATER = NOON + timedelta(minutes=1)


def group(number: int = 0, **changes: object) -> Configuration:
    usual: dict[str, object] = {
        "id": f"00000000-0000-4000-8000-{number:012d}",
        "project_id": "project-1",
        "name": "fast",
        "description": None,
        "datastore": "postgresql",
        "datastore_version": "17",
        "parameters": '{"jit": true}',
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Configuration(**{**usual, **changes})  # type: ignore[arg-type]


@pytest.fixture
def stored(database: Database) -> Configuration:
    """A group in the database."""
    made = group()
    with database.writing() as tx:
        configurations.insert(tx, made)
    return made


def test_a_group_comes_back_as_it_was_put_in(database: Database, stored: Configuration) -> None:
    with database.reading() as tx:
        assert configurations.find(tx, "project-1", stored.id) == stored
        assert configurations.find(tx, "project-2", stored.id) is None
    assert stored.values == {"jit": True}


def test_a_change_keeps_what_it_does_not_name(database: Database, stored: Configuration) -> None:
    with database.writing() as tx:
        assert configurations.lock(tx, stored.id) == stored
        assert configurations.update(tx, stored.id, LATER, {"work_mem": "4MB"}, description="new")
        changed = configurations.lock(tx, stored.id)
    assert changed is not None
    assert (changed.name, changed.description, changed.updated_at) == ("fast", "new", LATER)
    assert changed.values == {"work_mem": "4MB"}


def test_a_deleted_group_is_gone(database: Database, stored: Configuration) -> None:
    with database.writing() as tx:
        assert configurations.delete(tx, stored.id, LATER)
        assert not configurations.delete(tx, stored.id, LATER)
        assert configurations.lock(tx, stored.id) is None
        assert configurations.find(tx, "project-1", stored.id) is None
        assert not configurations.update(tx, stored.id, LATER, {})
        assert configurations.page(tx, "project-1", 10) == []


def test_pages_go_from_the_newest_to_the_oldest(database: Database) -> None:
    made = [group(number, created_at=NOON + timedelta(seconds=number // 2)) for number in range(5)]
    with database.writing() as tx:
        for each in made:
            configurations.insert(tx, each)
    with database.reading() as tx:
        first = configurations.page(tx, "project-1", 3)
        rest = configurations.page(tx, "project-1", 3, first[-1].id)
        assert [each.id for each in (*first, *rest)] == [each.id for each in reversed(made)]
        assert configurations.page(tx, "project-1", 3, "no such group") == []


def test_an_instance_is_attached_only_from_where_it_is(database: Database, stored: Configuration) -> None:
    instance = new_instance()
    with database.writing() as tx:
        instances.insert(tx, instance)
        assert configurations.wanted(tx, instance.id) == {}
        assert not configurations.attach(tx, instance.id, "another", stored.id, LATER)
        assert configurations.attach(tx, instance.id, None, stored.id, LATER)
        assert not configurations.attach(tx, instance.id, None, stored.id, LATER)
        assert configurations.wanted(tx, instance.id) == {"jit": True}
        assert configurations.attached(tx, stored.id) == [(instance.id, "shop")]
        assert configurations.names(tx, [stored.id, "x"]) == {stored.id: "fast"}
        assert configurations.attach(tx, instance.id, stored.id, None, LATER)
        assert configurations.attached(tx, stored.id) == []


def test_deleted_instances_are_attached_to_nothing(database: Database, stored: Configuration) -> None:
    made = [new_instance(id=f"{number}", configuration_id=stored.id) for number in range(4)]
    with database.writing() as tx:
        for each in made:
            instances.insert(tx, each)
        instances.move(tx, "1", None, "DELETED", LATER)
        assert [row[0] for row in configurations.attached(tx, stored.id)] == ["0", "2", "3"]
        assert [row[0] for row in configurations.attached(tx, stored.id, limit=1, marker="0")] == ["2"]
        assert configurations.names(tx, []) == {}
