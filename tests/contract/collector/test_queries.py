import threading
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.messages import ARRIVAL, HAPPENED, message

from coffer.collector.collector import Collector
from coffer.collector.database import CollectorDatabaseError, Database
from coffer.collector.queries import Filter, count, count_dead_letters, find, last_id, newest, watch


def ids(database: Database, **wanted: object) -> list[str]:
    with database.reading() as tx:
        return [event.message_id for event in find(tx, Filter(**wanted))]  # type: ignore[arg-type]


@pytest.fixture
def filled(collector: Collector, database: Database) -> Database:
    minute = timedelta(minutes=1)
    collector.store([
        message("m-0"),
        message("m-1", event_type="dbaas.database_create.end", timestamp=HAPPENED + minute),
        message("m-2", event_type="dbaas.database_create.error", timestamp=HAPPENED + 2 * minute),
        message(
            "m-3",
            event_type="trove.instance.create",
            timestamp=HAPPENED + 3 * minute,
            payload={"tenant_id": "other", "instance_id": "instance-2"},
            context={},
        ),
        message("m-4", event_type="dbaas.Xatabase_create%end", timestamp=HAPPENED + 4 * minute),
    ])  # fmt: skip
    return database


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, "01234"),
        ({"tenant_id": "other"}, "3"),
        ({"tenant_id": "OTHER"}, ""),
        ({"request_id": "req-1"}, "0124"),
        ({"run_id": "run-1"}, "0124"),
        ({"instance_id": "instance-2"}, "3"),
        ({"event_type": "dbaas.*"}, "0124"),
        ({"event_type": "*.error"}, "2"),
        ({"event_type": "dbaas.?atabase_create.end"}, "1"),
        ({"event_type": "dbaas.database_create.%"}, ""),
        ({"event_type": "dbaas.database_create_end"}, ""),
        ({"event_type": "dbaas.Xatabase_create%end"}, "4"),
        ({"event_type": "'; DROP TABLE events; --"}, ""),
        ({"since": HAPPENED + timedelta(minutes=2)}, "234"),
        ({"until": HAPPENED + timedelta(minutes=2)}, "01"),
        ({"since": HAPPENED + timedelta(minutes=1), "until": HAPPENED + timedelta(minutes=2)}, "1"),
        ({"after_id": 3}, "34"),
        ({"tenant_id": "acme", "event_type": "*.end"}, "1"),
    ],
)
def test_a_filter_chooses(filled: Database, wanted: dict[str, object], expected: str) -> None:
    assert "".join(name.removeprefix("m-") for name in ids(filled, **wanted)) == expected


def test_the_newest_come_in_the_order_of_arrival(filled: Database) -> None:
    with filled.reading() as tx:
        assert [event.message_id for event in newest(tx, Filter(), 2)] == ["m-3", "m-4"]
        assert [event.message_id for event in find(tx, Filter(), limit=2)] == ["m-0", "m-1"]
        assert count(tx, Filter(tenant_id="acme")) == 4
        assert last_id(tx) == 5
        assert count_dead_letters(tx) == 0


def test_an_empty_database_answers_too(database: Database) -> None:
    with database.reading() as tx:
        assert (last_id(tx), count(tx, Filter()), newest(tx, Filter(), 5)) == (0, 0, [])


def test_many_events_are_read_page_by_page(collector: Collector, database: Database) -> None:
    collector.store([message(f"{number}") for number in range(1203)])
    assert ids(database) == [f"{number}" for number in range(1203)]


def test_a_watcher_sees_what_arrives_once_and_in_order(collector: Collector, database: Database) -> None:
    collector.store([message("old")])
    stopping = threading.Event()
    seen: list[str] = []
    names = [f"new-{number}" for number in range(700)]
    events = watch(database, Filter(after_id=1), stopping, poll_s=0.01)
    collector.store([message(name) for name in names[:600]])
    seen.extend(next(events).message_id for _ in range(600))
    collector.store([message(name) for name in names[600:]])
    seen.extend(next(events).message_id for _ in range(100))
    assert seen == names
    stopping.set()
    assert list(events) == []


def test_a_reader_sees_what_a_writer_adds_and_cannot_write(file_url: str) -> None:
    writer, reader = Database(file_url), Database.read_only(file_url)
    try:
        assert ids(reader) == []
        Collector(writer, lambda: ARRIVAL).store([message("m-1")])
        assert ids(reader) == ["m-1"]
        with pytest.raises(CollectorDatabaseError, match="readonly"), reader.writing() as tx:
            tx.exec_driver_sql("DELETE FROM events")
    finally:
        reader.close()
        writer.close()


def test_a_file_that_is_no_database_is_said_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "collector.db"
    path.write_bytes(b"no database at all" * 100)
    reader = Database.read_only(f"sqlite:///{path}")
    with pytest.raises(CollectorDatabaseError, match="not a database"):
        ids(reader)
    reader.close()
