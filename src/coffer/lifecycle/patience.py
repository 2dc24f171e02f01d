"""Tries again while the database is away: whoever knows how a run ended may not forget it over a restart of it."""

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from coffer.store.errors import StoreContended, StoreUnavailable

LOG = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_TRIES = 5
"""How often a transaction is tried that others are in the way of, however little patience there is."""


class Patience:
    """Does a transaction again, with growing and jittered pauses, for `limit_s` at most.

    A connection that breaks during the commit leaves it open whether the transaction happened. So only what may
    be done twice is done through it: endings, claims and the like are compare-and-sets.
    """

    def __init__(self, limit_s: float, *, pause: Callable[[float], None] = time.sleep) -> None:
        """Give up after `limit_s`; 0 means: try once, unless another transaction was in the way."""
        self._limit_s = limit_s
        self._pause = pause

    def persist(self, transaction: Callable[[], T]) -> T:
        """Return what `transaction` returns once the database takes it.

        Raises:
            StoreUnavailable: if it is still away after the limit.
        """
        give_up_at_s = time.monotonic() + self._limit_s
        pause_s = _FIRST_PAUSE_S
        tries_left = _TRIES
        while True:
            try:
                return transaction()
            except StoreUnavailable as trouble:
                tries_left -= 1
                is_contended = isinstance(trouble, StoreContended) and tries_left > 0
                if not is_contended and time.monotonic() + pause_s > give_up_at_s:
                    raise
                LOG.warning("transaction is tried again pause_s=%.1f reason=%s", pause_s, trouble)
            self._pause(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
