"""The thread of the periodic chores."""

import threading
from collections.abc import Iterator

import pytest
from tests.support.waiting import wait_for

from coffer.store.errors import StoreUnavailable
from coffer.taskmanager.periodic import Chore, Periodic


class Counting:
    """A chore that has `pieces` to do each time, and may fail first."""

    def __init__(self, pieces: int = 1, *failures: Exception) -> None:
        self.steps = 0
        self._pieces = pieces
        self._failures = list(failures)

    def step(self) -> bool:
        self.steps += 1
        if self._failures:
            raise self._failures.pop()
        return self.steps % self._pieces != 0


class Endless:
    """A chore that has always more to do."""

    def __init__(self) -> None:
        self.began = threading.Event()

    def step(self) -> bool:
        self.began.set()
        return True


@pytest.fixture
def running() -> Iterator[list[Periodic]]:
    started: list[Periodic] = []
    yield started
    for each in started:
        each.stop()


def start(running: list[Periodic], *chores: Chore) -> Periodic:
    periodic = Periodic(chores, tick_s=0.01)
    periodic.start()
    running.append(periodic)
    return periodic


def test_every_chore_is_done_again_and_again(running: list[Periodic]) -> None:
    one, two = Counting(), Counting(pieces=3)
    start(running, one, two)
    wait_for(lambda: one.steps >= 3 and two.steps >= 9, 10, "three rounds")


def test_a_chore_that_fails_disturbs_no_other_and_is_tried_again(
    running: list[Periodic], caplog: pytest.LogCaptureFixture
) -> None:
    failing = Counting(1, KeyError("their class"), StoreUnavailable("sqlite:x", "it is busy"))
    other = Counting()
    start(running, failing, other)
    wait_for(lambda: failing.steps >= 4 and other.steps >= 4, 10, "both to go on")
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert "chore=Counting" in caplog.text


def test_stopping_waits_for_the_piece_that_is_being_done_and_no_longer(running: list[Periodic]) -> None:
    endless = Endless()
    periodic = start(running, endless)
    assert endless.began.wait(10)
    periodic.stop()
    assert not periodic._thread.is_alive()
