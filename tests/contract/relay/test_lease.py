import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from tests.contract.relay.conftest import Clock, Outbox
from tests.support.publishers import MemoryBroker, MemoryPublisher
from tests.support.waiting import wait_for

from coffer.relay.health import Role
from coffer.relay.relay import Outcome, Relay
from coffer.store import leases
from coffer.store.database import Database

NewRelay = Callable[..., Relay]


def test_only_the_holder_of_the_lease_publishes(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker
) -> None:
    first, second = new_relay("first"), new_relay("second")
    assert first.run_once() is Outcome.IDLE
    box.write((None, "one"))
    assert second.run_once() is Outcome.STANDBY
    assert broker.delivered == []
    assert first.run_once() is Outcome.WORKED
    assert (first.status().role, second.status().role) == (Role.ACTIVE, Role.STANDBY)


def test_a_dead_holder_is_replaced_when_its_lease_ends(new_relay: NewRelay, clock: Clock) -> None:
    new_relay("dead").run_once()
    heir = new_relay("heir")
    clock.advance(9.9)
    assert heir.run_once() is Outcome.STANDBY
    clock.advance(0.2)
    assert heir.run_once() is Outcome.IDLE


def test_a_relay_that_stops_gives_the_lease_back_at_once(new_relay: NewRelay) -> None:
    first = new_relay("first")
    first.run_once()
    first.stop()
    assert new_relay("second").run_once() is Outcome.IDLE


def test_the_lease_is_renewed_every_three_seconds_at_the_latest(
    new_relay: NewRelay, database: Database, clock: Clock
) -> None:
    relay = new_relay("only")
    for _ in range(40):
        relay.run_once()
        clock.advance(1.0)
    with database.reading() as tx:
        assert leases.holder(tx, "relay", clock.now()) == "only"
    clock.advance(6.9)
    with database.reading() as tx:
        assert leases.holder(tx, "relay", clock.now()) == "only", (
            "renewed no more than 3 s before the last pass"
        )


def test_a_relay_that_loses_the_lease_in_a_batch_sends_no_further_wave(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker, clock: Clock
) -> None:
    box.write(("a", "a.start"), ("a", "a.end"))
    slow, quick = new_relay("slow"), new_relay("quick")

    def freeze() -> None:
        """The first wave takes 11 s; meanwhile the other relay takes over and does everything."""
        broker.before_publish = lambda: None
        clock.advance(11)
        quick.run_once()

    broker.before_publish = freeze
    slow.run_once()
    assert [body.decode() for body in broker.delivered] == ["a.start", "a.end", "a.start"]
    assert [body.decode() for body in broker.firsts()] == ["a.start", "a.end"]
    assert slow.run_once() is Outcome.STANDBY
    assert box.left() == []


@contextmanager
def running(relay: Relay) -> Iterator[Relay]:
    relay.start()
    try:
        yield relay
    finally:
        relay.stop()


def now() -> datetime:
    return datetime.now(UTC)


def test_two_relays_that_fight_lose_nothing_and_keep_the_order(
    database: Database, box: Outbox, broker: MemoryBroker
) -> None:
    """A lease of 50 ms is lost over and over while both are at work."""

    def relay(holder: str) -> Relay:
        return Relay(database, MemoryPublisher(broker), holder, now, batch_size=20, lease_ttl_s=0.05)

    expected = [f"{run}/{step}" for run in range(150) for step in range(4)]
    with running(relay("one")), running(relay("two")):
        for run in range(150):
            box.write((f"{run}", f"{run}/0"), (f"{run}", f"{run}/1"))
            box.write((f"{run}", f"{run}/2"), (f"{run}", f"{run}/3"))
        wait_for(lambda: not box.left(), 60, "the outbox to be empty")
    arrived = [body.decode() for body in broker.firsts()]
    assert sorted(arrived) == sorted(expected)
    for run in range(150):
        of_run = [name for name in arrived if name.startswith(f"{run}/")]
        assert of_run == [f"{run}/{step}" for step in range(4)]


def test_the_wake_event_sets_off_the_relay_at_once(
    database: Database, box: Outbox, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coffer.relay.relay.POLL_S", 30.0)
    wake = threading.Event()
    relay = Relay(database, MemoryPublisher(broker), "only", now, wake=wake)
    with running(relay):
        wait_for(lambda: relay.status().role is Role.ACTIVE, 5, "the relay to be active")
        box.write((None, "one"))
        wake.set()
        wait_for(lambda: broker.delivered, 5, "the message")


def test_stopping_does_not_wait_for_a_pause_to_end(
    database: Database, box: Outbox, broker: MemoryBroker
) -> None:
    box.write(*((None, f"{number}") for number in range(5000)))
    broker.is_away = True
    publisher = MemoryPublisher(broker)
    relay = Relay(database, publisher, "only", now)
    relay.start()
    wait_for(lambda: len(broker.attempts) >= 3, 10, "three attempts, so that the next pause is long")
    began_s = time.monotonic()
    relay.stop()
    assert time.monotonic() - began_s < 0.5
    assert publisher.is_closed


def test_an_idle_relay_polls_no_more_than_ten_times_a_second(
    database: Database, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[float] = []
    relay = Relay(database, MemoryPublisher(broker), "only", now)
    run_once = relay.run_once

    def counted() -> Outcome:
        passes.append(time.monotonic())
        return run_once()

    monkeypatch.setattr(relay, "run_once", counted)
    with running(relay):
        wait_for(lambda: len(passes) >= 6, 10, "six polls")
    assert passes[5] - passes[0] >= 0.5
