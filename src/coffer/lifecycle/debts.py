"""Endings that the database could not take: written as soon as it can, by whoever owes them.

The watchdog looks after the runs of dead services only. A living one whose run was begun and then met a database that
is away would otherwise leave it open until its deadline, with nobody at work on it.
"""

import logging
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from coffer.lifecycle.failures import Failure
from coffer.store.errors import StoreContended, StoreError, StoreUnavailable

LOG = logging.getLogger(__name__)

Settle = Callable[[str, Failure, str | None], object]
"""Ends a run as `.error`, unless it has ended or has never begun; for the guest that it must be handed to, if any."""

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0


class Debts:
    """The endings that one service owes. Its thread lives only as long as there are any."""

    def __init__(self, settle: Settle) -> None:
        """Write them with `settle`, which raises StoreUnavailable while it cannot."""
        self._settle = settle
        self._lock = threading.Lock()
        self._owed: dict[str, tuple[Failure, str | None]] = {}

    @contextmanager
    def noted(
        self, run_ids: Sequence[str], failure: Failure | None = None, *, handed_to: str | None = None
    ) -> Iterator[None]:
        """Owe the ending of these runs if the block fails for the database; of what never began, none is due.

        Without a `failure` the block begins the runs, and the database is what they fail for.

        Raises:
            StoreUnavailable: what the block raised.
        """
        try:
            yield
        except StoreUnavailable as trouble:
            # Others were in the way of a beginning: it has not happened, for sure. Of an ending: the run is still open.
            if failure is not None or not isinstance(trouble, StoreContended):
                self._owe({run_id: (failure or Failure.of(trouble), handed_to) for run_id in run_ids})
            raise

    def _owe(self, owed: dict[str, tuple[Failure, str | None]]) -> None:
        with self._lock:
            is_paying = bool(self._owed)
            self._owed = owed | self._owed
            if self._owed and not is_paying:
                threading.Thread(target=self._pay, name="debts", daemon=True).start()

    def _pay(self) -> None:
        run_id: str | None = next(iter(self._owed))
        pause_s = _FIRST_PAUSE_S
        while run_id is not None:
            if self._is_paid(run_id):
                run_id, pause_s = self._after(run_id), _FIRST_PAUSE_S
            else:
                threading.Event().wait(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _is_paid(self, run_id: str) -> bool:
        failure, handed_to = self._owed[run_id]
        try:
            self._settle(run_id, failure, handed_to)
        except StoreUnavailable:
            return False
        except StoreError:
            LOG.exception("an ending that was owed cannot be written run_id=%s", run_id)
        return True

    def _after(self, run_id: str) -> str | None:
        """Forget what is paid; return what is next."""
        with self._lock:
            del self._owed[run_id]
            return next(iter(self._owed), None)
