"""Keeps bounds on what guests may leave at the broker, whoever makes the broker anew meanwhile."""

import logging
import time
from collections.abc import Callable

from coffer.taskmanager.enrolment import Accounts
from coffer.wire.broker_accounts import BrokerAccountsFailed

LOG = logging.getLogger(__name__)

INTERVAL_S = 300.0


class Bounds:
    """A `Chore`: bounds the guests' queues. Any number of taskmanagers may do it."""

    def __init__(
        self,
        accounts: Accounts,
        *,
        interval_s: float = INTERVAL_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Do it at the first step, and again every `interval_s`."""
        self._accounts = accounts
        self._interval_s = interval_s
        self._monotonic_s = monotonic_s
        self._next_s = 0.0

    def step(self) -> bool:
        """Bound them, if it is time to; a broker whose management is away keeps the bounds that it has."""
        if self._monotonic_s() >= self._next_s:
            self._next_s = self._monotonic_s() + self._interval_s
            try:
                self._accounts.bound()
            except BrokerAccountsFailed as error:
                LOG.warning("queues of guests are perhaps not bounded reason=%s", error)
        return False
