"""Many at once: threads that start together, and what each of them returned."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def together(count: int, work: Callable[[int], T]) -> list[T]:
    """Call `work(0)` ... `work(count - 1)` in threads that start at one moment; results in that order.

    Raises:
        Exception: the first that a thread raised.
    """
    barrier = threading.Barrier(count, timeout=30)

    def started(number: int) -> T:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(started, range(count)))
