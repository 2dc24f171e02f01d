"""Work with a limit."""

import threading
import time

import pytest
from tests.support.waiting import wait_for

from coffer.wire.delivery import Delivery, NotDeliveredError


def test_it_returns_what_the_work_returns() -> None:
    assert Delivery().within(10, lambda _abandoned: 5) == 5


def test_it_raises_what_the_work_raises() -> None:
    def work(_abandoned: threading.Event) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        Delivery().within(10, work)


def test_work_that_hangs_is_given_up_and_told_so() -> None:
    told = threading.Event()

    def work(abandoned: threading.Event) -> None:
        abandoned.wait(20)
        told.set()

    started = time.monotonic()
    with pytest.raises(NotDeliveredError, match=r"0\.05 s"):
        Delivery().within(0.05, work)

    assert time.monotonic() - started < 5
    assert told.wait(20)


def test_only_so_many_may_hang_at_a_time() -> None:
    delivery, release, ended = Delivery(parallel=1), threading.Event(), threading.Event()

    def work(_abandoned: threading.Event) -> None:
        release.wait(20)
        ended.set()

    for _ in range(2):
        with pytest.raises(NotDeliveredError):
            delivery.within(0.02, work)
    release.set()
    assert ended.wait(20)

    def works() -> bool:
        try:
            return delivery.within(1, lambda _abandoned: True)
        except NotDeliveredError:
            return False

    assert wait_for(works, 20, "a free place")
