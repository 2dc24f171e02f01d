"""Waiting for what other threads and processes do: for a condition, with a deadline, never for a while."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.01


def wait_for(condition: Callable[[], T], timeout_s: float, what: str, *, poll_s: float = POLL_S) -> T:
    """Return the first true value of `condition`; `poll_s` is for one that is dear to ask.

    Raises:
        AssertionError: naming `what`, if there is none within `timeout_s`.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline_s:
            raise AssertionError(f"waited {timeout_s} s in vain for {what}")
        time.sleep(poll_s)


def let_last(seconds: float) -> None:
    """Let a fault last: a time is what it is made of. No test waits like this for something to become true."""
    time.sleep(seconds)
