import json
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.messages import ARRIVAL, HAPPENED, message, notification

from coffer.collector import migrate
from coffer.collector.collector import LONGEST_BODY, Collector, Receipt
from coffer.collector.database import CollectorDatabaseError, Database
from coffer.collector.events import StoredEvent
from coffer.collector.queries import Filter, find


def stored(database: Database) -> list[StoredEvent]:
    with database.reading() as tx:
        return list(find(tx, Filter()))


def dead(database: Database) -> list[tuple[str, bytes]]:
    with database.reading() as tx:
        return [
            (row.reason, row.body)
            for row in tx.exec_driver_sql("SELECT reason, body FROM dead_letters ORDER BY id")
        ]


def test_an_event_is_stored_with_its_own_time_and_what_identifies_it(
    collector: Collector, database: Database
) -> None:
    collector.store([message()])
    expected = notification()
    assert stored(database) == [
        StoredEvent(
            id=1,
            message_id="m-1",
            event_type="dbaas.database_create.start",
            severity="info",
            publisher_id="api.host-1",
            timestamp=HAPPENED,
            received_at=ARRIVAL,
            tenant_id="acme",
            request_id="req-1",
            run_id="run-1",
            instance_id="instance-1",
            payload=expected.payload,
        )
    ]


def test_repetitions_are_dropped_in_a_batch_and_between_batches(
    collector: Collector, database: Database
) -> None:
    first = collector.store([message("a"), message("b"), message("a")])
    second = collector.store([message("b"), message("c")])
    assert (first.stored, first.repeated) == (2, 1)
    assert (second.stored, second.repeated) == (1, 1)
    assert [event.message_id for event in stored(database)] == ["a", "b", "c"]


def test_ids_that_differ_in_case_only_are_two_events(collector: Collector, database: Database) -> None:
    collector.store([message("a"), message("A")])
    assert len(stored(database)) == 2


def test_an_empty_batch_is_no_trouble(collector: Collector) -> None:
    assert collector.store([]).stored == 0


def test_what_it_does_not_know_it_ignores_and_keeps(collector: Collector, database: Database) -> None:
    """A newer or older peer: traits more and less, a severity and a type nobody here has heard of."""
    collector.store([
        message("new", event_type="dbaas.teleport.end", payload={"tenant_id": "t", "warp": [1, {"x": None}]}),
        message("old", payload={}, context={}, severity="critical"),
    ])  # fmt: skip
    new, old = stored(database)
    assert new.payload == {"tenant_id": "t", "warp": [1, {"x": None}]}
    assert (old.tenant_id, old.request_id, old.run_id, old.severity) == (None, None, None, "critical")


def test_the_context_tells_the_tenant_where_the_payload_does_not(
    collector: Collector, database: Database
) -> None:
    collector.store([message(payload={}, context={"project_id": "acme", "request_id": "req-9"})])
    [event] = stored(database)
    assert (event.tenant_id, event.request_id) == ("acme", "req-9")


def envelope(inner: object) -> bytes:
    return json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(inner)}).encode()


def inner(**changes: object) -> dict[str, object]:
    return {
        "message_id": "m",
        "event_type": "e",
        "priority": "INFO",
        "publisher_id": "p",
        "timestamp": "2026-11-22 08:00:00",
        "payload": {},
    } | changes


NESTED: list[object] = []
for _ in range(60):
    NESTED = [NESTED]

MALFORMED = {
    "empty": b"",
    "not JSON": b"{",
    "not UTF-8": b"\xff\xfe",
    "a list": b"[]",
    "no envelope": b'{"a": 1}',
    "another version": b'{"oslo.version": "3.0", "oslo.message": "{}"}',
    "no message inside": b'{"oslo.version": "2.0", "oslo.message": 3}',
    "no payload": envelope({key: value for key, value in inner().items() if key != "payload"}),
    "payload is a list": envelope(inner(payload=[])),
    "no message_id": envelope(inner(message_id=None)),
    "empty message_id": envelope(inner(message_id="")),
    "message_id too long": envelope(inner(message_id="m" * 256)),
    "NUL in message_id": envelope(inner(message_id="m\x00")),
    "half a letter in message_id": envelope(inner(message_id="\ud800")),
    "event_type too long": envelope(inner(event_type="e" * 256)),
    "no time": envelope(inner(timestamp="soon")),
    "before the calendar": envelope(inner(timestamp="0001-01-01T00:00:00+10:00")),
    "after the calendar": envelope(inner(timestamp="9999-12-31T23:59:59-10:00")),
    "nested without end": b'{"oslo.version": "2.0", "oslo.message": ' + b"[" * 200_000,
    "nested deep": envelope(inner(payload={"a": NESTED})),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_cannot_be_read_is_kept_and_does_not_hurt_its_neighbours(
    collector: Collector, database: Database, body: bytes
) -> None:
    receipt = collector.store([message("before"), body, message("after")])
    assert (receipt.stored, receipt.unreadable) == (2, 1)
    assert [event.message_id for event in stored(database)] == ["before", "after"]
    [(reason, kept)] = dead(database)
    assert reason
    assert kept == body


def test_of_what_is_too_long_the_beginning_is_kept(collector: Collector, database: Database) -> None:
    collector.store([message(payload={"a": "x" * LONGEST_BODY})])
    [(reason, kept)] = dead(database)
    assert "bytes" in reason
    assert len(kept) == LONGEST_BODY


def test_strange_texts_in_the_facts_are_stored(collector: Collector, database: Database) -> None:
    strange = {
        "tenant_id": "a\x00b" + "é" * 300,
        "run_id": 7,
        "dbname": "x'; DROP TABLE events; --\x00\u202e",
    }
    body = envelope(inner(payload=strange))
    assert collector.store([body]).stored == 1
    [event] = stored(database)
    assert event.tenant_id is not None
    assert event.tenant_id.startswith("ab")
    assert len(event.tenant_id) == 255
    assert event.run_id is None
    assert event.payload["dbname"] == strange["dbname"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner_values: (
        st.lists(inner_values, max_size=3) | st.dictionaries(st.text(), inner_values, max_size=3)
    ),
    max_leaves=8,
)
facts = st.dictionaries(
    st.sampled_from(["tenant_id", "request_id", "run_id", "instance_id", "x"]) | st.text(),
    json_values,
    max_size=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(st.binary(max_size=80), facts.map(lambda payload: envelope(inner(payload=payload)))))
)
def test_no_body_ever_breaks_the_collector(collector: Collector, bodies: list[bytes]) -> None:
    receipt = collector.store(bodies)
    assert receipt.stored + receipt.repeated + receipt.unreadable == len(bodies)


def test_a_batch_is_stored_as_a_whole_or_not_at_all(
    collector: Collector, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the last statement fails, nothing is kept, it is raised, and the next delivery succeeds."""
    with database.writing() as tx:
        tx.exec_driver_sql("ALTER TABLE dead_letters RENAME TO elsewhere")
    with pytest.raises(CollectorDatabaseError):
        collector.store([message("a"), b"unreadable"])
    assert stored(database) == []
    with database.writing() as tx:
        tx.exec_driver_sql("ALTER TABLE elsewhere RENAME TO dead_letters")
    assert collector.store([message("a"), b"unreadable"]).stored == 1


def test_two_collectors_on_one_database_store_an_event_once(database: Database) -> None:
    bodies = [message(f"m-{number}") for number in range(300)]
    receipts: list[Receipt] = []

    def work() -> None:
        mine = Collector(database, lambda: ARRIVAL)
        receipts.extend(mine.store(bodies[start : start + 10]) for start in range(0, 300, 10))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(receipt.stored for receipt in receipts) == 300
    assert len(stored(database)) == 300


def test_the_file_is_its_owners_alone(file_url: str) -> None:
    path = Path(file_url.removeprefix("sqlite:///"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_schema_is_made_once_and_known_as_current(database: Database) -> None:
    assert migrate.is_current(database)
    migrate.upgrade(database)
    assert migrate.is_current(database)


def test_two_processes_may_make_the_schema_at_once(empty_database_url: str) -> None:
    failures: list[BaseException] = []

    def make() -> None:
        database = Database(empty_database_url)
        try:
            migrate.upgrade(database)
        except BaseException as error:  # noqa: BLE001 - seen below
            failures.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_the_tables_are_what_the_migrations_make(database: Database) -> None:
    assert migrate.differences(database) == []
