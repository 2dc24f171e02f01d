"""The queue in front of SQLite's only writer."""

import signal
import threading
from functools import partial
from types import FrameType

import pytest
from tests.support.threads import together
from tests.support.waiting import wait_for

from coffer.store.turns import Turns


def waiting(turns: Turns) -> int:
    return len(turns._waiting)


def is_waiting(turns: Turns, count: int) -> bool:
    return waiting(turns) == count


def test_turns_are_given_in_the_order_of_asking() -> None:
    turns = Turns()
    order: list[int] = []

    def work(number: int) -> None:
        with turns.turn(10):
            order.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    with turns.turn(10):
        for number, thread in enumerate(threads, start=1):
            thread.start()
            wait_for(partial(is_waiting, turns, number), 10, "the thread to queue")
    for thread in threads:
        thread.join(10)
    assert order == list(range(20))


def test_one_thread_at_a_time_has_its_turn() -> None:
    turns = Turns()
    inside: list[int] = []

    def work(number: int) -> int:
        most = 0
        for _ in range(200):
            with turns.turn(10) as is_ours:
                assert is_ours
                inside.append(number)
                most = max(most, len(inside))
                inside.pop()
        return most

    assert together(8, work) == [1] * 8


def test_who_waited_too_long_leaves_the_queue() -> None:
    turns = Turns()
    with turns.turn(10) as first, turns.turn(0.01) as second:
        assert (first, second) == (True, False)
        assert waiting(turns) == 0
    with turns.turn(0.01) as third:
        assert third


def test_an_exception_ends_the_turn() -> None:
    turns = Turns()
    with pytest.raises(RuntimeError), turns.turn(10):
        raise RuntimeError
    with turns.turn(0.01) as is_ours:
        assert is_ours


def test_a_signal_that_ends_the_wait_leaves_the_queue_in_order() -> None:
    turns = Turns()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with turns.turn(10):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(InterruptedError), turns.turn(10):
                pytest.fail("it is not our turn")
            assert waiting(turns) == 0
    finally:
        signal.signal(signal.SIGALRM, before)
    with turns.turn(0.01) as is_ours:
        assert is_ours
