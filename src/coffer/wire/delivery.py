"""Work that must not outlast its limit, whatever the library underneath does.

A frozen broker holds oslo.messaging for minutes and a blocked one for ever; a request must not wait for that.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")

PARALLEL = 64
"""How many pieces of work may hang in a frozen broker before new ones are refused at once."""


class NotDeliveredError(Exception):
    """The broker did not take the message, or nobody has a queue for it."""


class NoReplyError(Exception):
    """The message may have arrived; its answer did not, in time."""


class _Work(threading.Thread, Generic[Result]):
    """One piece of work in a thread that nobody waits for at exit."""

    def __init__(self, work: Callable[[threading.Event], Result], done: Callable[[], None]) -> None:
        super().__init__(name="wire-delivery", daemon=True)
        self.abandoned = threading.Event()
        self.result: Result | None = None
        self.error: BaseException | None = None
        self._work = work
        self._done = done

    def run(self) -> None:
        try:
            self.result = self._work(self.abandoned)
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread, which raises it
            self.error = error
        finally:
            self._done()


class Delivery:
    """Runs blocking work with a time limit."""

    def __init__(self, parallel: int = PARALLEL) -> None:
        """Let at most `parallel` pieces of work run at a time."""
        self._places = threading.BoundedSemaphore(parallel)

    def within(self, timeout_s: float, work: Callable[[threading.Event], Result]) -> Result:
        """Return what `work` returns; it is given the event that tells it to give up.

        Raises:
            NotDeliveredError: if it did not finish in `timeout_s`. It may still have an effect later.
            Exception: what `work` raised.
        """
        if not self._places.acquire(timeout=timeout_s):
            raise NotDeliveredError(f"{PARALLEL} deliveries wait for the broker already")
        thread = _Work(work, self._places.release)
        thread.start()
        thread.join(timeout_s)
        if thread.is_alive():
            thread.abandoned.set()
            raise NotDeliveredError(f"the broker did not answer in {timeout_s} s")
        if thread.error is not None:
            raise thread.error
        return thread.result  # type: ignore[return-value]  # set when there is no error
