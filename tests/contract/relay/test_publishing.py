from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.relay.conftest import Clock, Outbox
from tests.support.publishers import MemoryBroker

from coffer.relay.relay import Outcome, Relay
from coffer.store import outbox

NewRelay = Callable[..., Relay]


def names(bodies: list[bytes]) -> list[str]:
    return [body.decode() for body in bodies]


def test_what_is_confirmed_leaves_the_outbox_in_order(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker
) -> None:
    box.write(("a", "a.start"), ("b", "b.start"), (None, "fact"))
    relay = new_relay()
    assert relay.run_once() is Outcome.WORKED
    assert names(broker.delivered) == ["a.start", "b.start", "fact"]
    assert box.left() == []
    assert relay.run_once() is Outcome.IDLE


def test_what_was_not_confirmed_is_sent_again_byte_for_byte(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker
) -> None:
    box.write(("a", "a.start"), ("b", "b.start"))
    broker.loses_next_confirms = 1
    relay = new_relay()
    assert relay.run_once() is Outcome.TROUBLE
    assert box.left() == ["a.start", "b.start"]
    relay.run_once()
    assert names(broker.delivered) == ["a.start", "b.start", "a.start", "b.start"]
    assert box.left() == []


def test_an_ending_is_not_sent_before_its_start_is_confirmed(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker
) -> None:
    box.write(("a", "a.start"), ("b", "b.start"), ("a", "a.end"), ("b", "b.end"))
    broker.refuses = lambda body: body == b"a.start"
    new_relay().run_once()
    assert broker.attempts == [(b"a.start", b"b.start"), (b"b.end",)]
    assert box.left() == ["a.start", "a.end"]


def test_a_wave_that_fails_leaves_the_confirmed_waves_deleted(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker
) -> None:
    box.write(("a", "a.start"), ("b", "b.start"), ("a", "a.end"))
    broker.breaks_on = lambda body: body == b"a.end"
    assert new_relay().run_once() is Outcome.TROUBLE
    assert box.left() == ["a.end"]


def test_a_batch_is_no_larger_than_asked_for(new_relay: NewRelay, box: Outbox, broker: MemoryBroker) -> None:
    box.write(*((None, f"{number}") for number in range(7)))
    relay = new_relay(batch_size=3)
    while relay.run_once() is Outcome.WORKED:
        pass
    assert [len(attempt) for attempt in broker.attempts] == [3, 3, 1]


def test_a_message_written_in_the_middle_is_not_deleted_unsent(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker
) -> None:
    box.write((None, "one"))
    broker.before_publish = lambda: box.write((None, "late"))
    new_relay().run_once()
    assert box.left() == ["late"]


def test_trouble_is_paced_and_the_first_attempt_afterwards_is_a_probe(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker
) -> None:
    box.write(*((None, f"{number}") for number in range(100)))
    broker.is_away = True
    relay = new_relay()
    for _ in range(4):
        assert relay.run_once() is Outcome.TROUBLE
    broker.is_away = False
    while relay.run_once() is Outcome.WORKED:
        pass
    assert [len(attempt) for attempt in broker.attempts][:7] == [100, 62, 7, 1, 1, 8, 1]
    assert sorted(broker.delivered) == sorted(str(number).encode() for number in range(100))
    assert box.left() == []


def test_after_an_outage_the_messages_that_probed_it_need_not_wait(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker, clock: Clock
) -> None:
    box.write(*((f"run-{number}", f"{number}") for number in range(3)))
    broker.is_away = True
    relay = new_relay(batch_size=1)
    for _ in range(4):  # the first attempt, while all seems well, suspects nobody
        relay.run_once()
    assert relay.status().set_aside == 3
    broker.is_away = False
    clock.advance(20)
    while relay.run_once() is Outcome.WORKED:
        pass
    assert box.left() == []
    assert relay.status().outages == ()
    assert relay.status().set_aside == 0


def test_the_counters_say_what_happened(new_relay: NewRelay, box: Outbox, broker: MemoryBroker) -> None:
    box.write(("a", "a.start"), ("b", "b.start"), ("a", "a.end"))
    broker.refuses = lambda body: body == b"a.start"
    relay = new_relay()
    relay.run_once()
    status = relay.status()
    assert (status.published, status.refused, status.set_aside) == (1, 1, 2)
    broker.is_away = True
    box.write(("c", "c.start"))
    relay.run_once()
    [outage] = relay.status().outages
    assert (outage.part, outage.first_error) == ("broker", "BrokerUnavailable: told to be away")


def test_an_outage_is_logged_once_and_its_end_once(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker, caplog: pytest.LogCaptureFixture
) -> None:
    box.write(*((None, f"{number}") for number in range(10)))
    broker.is_away = True
    relay = new_relay()
    for _ in range(5):
        relay.run_once()
    assert [record.message.split(",")[0] for record in caplog.records] == ["broker outage begins"]
    broker.is_away = False
    while relay.run_once() is Outcome.WORKED:
        pass
    assert [record.message[:21] for record in caplog.records] == [
        "broker outage begins,",
        "broker outage is over",
    ]


def test_trouble_of_the_database_waits_like_trouble_of_the_broker(
    new_relay: NewRelay, box: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    box.write((None, "one"))
    relay = new_relay()
    with box.database.writing() as tx:
        tx.exec_driver_sql("ALTER TABLE outbox RENAME TO elsewhere")
    assert relay.run_once() is Outcome.TROUBLE
    assert relay.run_once() is Outcome.TROUBLE
    [outage] = relay.status().outages
    assert outage.part == "database"
    with box.database.writing() as tx:
        tx.exec_driver_sql("ALTER TABLE elsewhere RENAME TO outbox")
    assert relay.run_once() is Outcome.WORKED
    assert relay.status().outages == ()
    assert [record.message[:23] for record in caplog.records] == [
        "database outage begins,",
        "database outage is over",
    ]


def test_messages_that_are_always_refused_do_not_stop_the_others(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker, clock: Clock
) -> None:
    """Far more of them than a batch, all of them before the first that can go."""
    box.write(*((f"bad-{number}", f"bad-{number}") for number in range(1200)))
    box.write(*((f"bad-{number}", f"bad-{number}.end") for number in range(1200)))
    box.write(("good", "good.start"), ("good", "good.end"))
    broker.refuses = lambda body: body.startswith(b"bad")
    relay = new_relay()
    for _ in range(8):
        relay.run_once()
    assert names(broker.delivered) == ["good.start", "good.end"]
    broker.refuses = lambda _: False
    clock.advance(60)
    while relay.run_once() is Outcome.WORKED:
        pass
    assert box.left() == []
    assert len(broker.delivered) == 2402


def test_a_refused_message_is_tried_again_later_and_not_at_once(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker, clock: Clock
) -> None:
    box.write((None, "bad"))
    broker.refuses = lambda _: True
    relay = new_relay()
    relay.run_once()
    assert relay.run_once() is Outcome.IDLE
    assert len(broker.attempts) == 1
    clock.advance(1)
    relay.run_once()
    assert len(broker.attempts) == 2


def test_refusals_are_logged_once_until_they_are_over(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    box.write((None, "bad"))
    broker.refuses = lambda _: True
    relay = new_relay()
    for _ in range(4):
        relay.run_once()
        clock.advance(31)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    broker.refuses = lambda _: False
    relay.run_once()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_message_that_breaks_every_connection_is_found_and_the_others_go_on(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker, clock: Clock
) -> None:
    box.write(*((None, f"{number}") for number in range(40)), ("bad", "bad.start"), ("bad", "bad.end"))
    box.write(*((None, f"{number}") for number in range(40, 80)))
    broker.breaks_on = lambda body: body == b"bad.start"
    relay = new_relay()
    for _ in range(60):
        relay.run_once()
        clock.advance(5)
    assert len(set(broker.delivered)) == 80
    assert box.left() == ["bad.start", "bad.end"]
    box.write((None, "afterwards"))
    relay.run_once()
    assert broker.delivered[-1] == b"afterwards"
    broker.breaks_on = lambda _: False
    clock.advance(60)
    relay.run_once()
    relay.run_once()
    assert box.left() == []


def test_more_refusals_than_can_be_set_aside_are_an_outage_with_pauses(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.write(*((None, f"{number}") for number in range(40)))
    broker.refuses = lambda _: True
    relay = new_relay(batch_size=10)
    relay._parking._capacity = 20
    assert [relay.run_once() for _ in range(2)] == [Outcome.WORKED, Outcome.TROUBLE]


class Crash(BaseException):
    """The process ends here."""


def test_a_crash_between_confirm_and_delete_repeats_the_same_bytes(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.write(("a", "a.start"), ("a", "a.end"))

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "delete", crash)
        with pytest.raises(Crash):
            new_relay("killed").run_once()
    clock.advance(11)
    new_relay("next").run_once()
    assert names(broker.firsts()) == ["a.start", "a.end"]
    assert names(broker.delivered).count("a.start") == 2
    assert box.left() == []


class Play:
    """The verbs of the script below."""

    def __init__(self, new_relay: NewRelay, box: Outbox, broker: MemoryBroker, clock: Clock) -> None:
        self._new_relay = new_relay
        self._box = box
        self._broker = broker
        self._clock = clock
        self.relays = [new_relay("one", batch_size=4), new_relay("two", batch_size=4)]
        self.written: list[str] = []

    def write(self, run: int) -> None:
        names_of_run = [f"{run}/{len(self.written) + step}" for step in range(2)]
        self._box.write(*((f"run-{run}", name) for name in names_of_run))
        self.written += names_of_run

    def run(self, which: int) -> None:
        self.relays[which].run_once()

    def broker(self, mood: str) -> None:
        self._broker.is_away = mood == "away"
        self._broker.loses_next_confirms = int(mood == "loses confirms")
        self._broker.refuses = (
            (lambda body: body[-1] % 3 == 0) if mood == "refuses some" else (lambda _: False)
        )

    def advance(self, seconds: float) -> None:
        self._clock.advance(seconds)

    def replace(self, which: int) -> None:
        """A relay vanishes with all it knew; another starts."""
        self.relays[which] = self._new_relay(f"another-{len(self._broker.attempts)}", batch_size=4)


actions = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 4)),
        st.tuples(st.just("run"), st.integers(0, 1)),
        st.tuples(st.just("broker"), st.sampled_from(["up", "away", "loses confirms", "refuses some"])),
        st.tuples(st.just("advance"), st.sampled_from([0.5, 2.0, 11.0])),
        st.tuples(st.just("replace"), st.integers(0, 1)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions)
def test_whatever_fails_nothing_is_lost_and_runs_arrive_in_order(
    new_relay: NewRelay, box: Outbox, broker: MemoryBroker, clock: Clock, script: list[tuple[str, Any]]
) -> None:
    """Two relays, a broker in all its moods, relays that vanish: at the end everything is there, in order."""
    broker.delivered.clear()
    play = Play(new_relay, box, broker, clock)
    for verb, what in script:
        getattr(play, verb)(what)
    play.broker("up")
    for _ in range(200):
        clock.advance(31)
        for relay in play.relays:
            relay.run_once()
        if not box.left():
            break
    arrived = names(broker.firsts())
    assert sorted(arrived) == sorted(play.written)
    for run in range(5):
        of_run = [name for name in arrived if name.startswith(f"{run}/")]
        assert of_run == [name for name in play.written if name.startswith(f"{run}/")]
