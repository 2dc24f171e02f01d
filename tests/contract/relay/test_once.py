"""From the outbox to the collector: what is sent twice is stored once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.contract.relay.conftest import Clock, Outbox
from tests.support.messages import message
from tests.support.publishers import MemoryBroker

from coffer.collector import migrate
from coffer.collector.collector import Collector
from coffer.collector.database import Database as CollectorDatabase
from coffer.collector.queries import Filter, find
from coffer.relay.relay import Outcome, Relay
from coffer.store import outbox
from coffer.store.database import Database
from coffer.store.outbox import OutboxRow
from coffer.wire.local_publisher import LocalPublisher


class Crash(BaseException):
    """The process ends here."""


def test_a_relay_killed_between_confirm_and_delete_makes_a_repetition_that_the_collector_drops(
    new_relay: Callable[..., Relay],
    box: Outbox,
    broker: MemoryBroker,
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [
        OutboxRow(run_id="a", event_type="x", severity="info", created_at=clock.now(), body=message(name))
        for name in ("a.start", "a.end")
    ]
    with box.database.writing() as tx:
        outbox.append(tx, rows)

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "delete", crash)
        with pytest.raises(Crash):
            new_relay("killed").run_once()
    clock.advance(11)
    new_relay("next").run_once()
    assert broker.firsts() == [row.body for row in rows]
    assert broker.delivered.count(rows[0].body) == 2

    database = CollectorDatabase(f"sqlite:///{tmp_path}/collector.db")
    migrate.upgrade(database)
    receipt = Collector(database, clock.now).store(broker.delivered)
    assert (receipt.stored, receipt.repeated) == (2, len(broker.delivered) - 2)
    with database.reading() as tx:
        assert [event.message_id for event in find(tx, Filter())] == ["a.start", "a.end"]
    database.close()


def test_the_collector_can_stand_in_the_relays_own_process(
    database: Database, box: Outbox, clock: Clock, tmp_path: Path
) -> None:
    """As in standalone: the publisher hands the bodies over, and confirmed means stored."""
    target = CollectorDatabase(f"sqlite:///{tmp_path}/collector.db")
    migrate.upgrade(target)
    publisher = LocalPublisher([Collector(target, clock.now).receive])
    relay = Relay(database, publisher, "only", clock.now, monotonic=clock.monotonic)
    row = OutboxRow(
        run_id="a", event_type="x", severity="info", created_at=clock.now(), body=message("a.start")
    )
    with database.writing() as tx:
        outbox.append(tx, [row])
    assert relay.run_once() is Outcome.WORKED
    assert box.left() == []
    with target.reading() as tx:
        assert [event.message_id for event in find(tx, Filter())] == ["a.start"]
    target.close()
