"""How calls reach the driver: what changes the instance goes one at a time, reading does not wait."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeVar

from coffer.catalogue.errors import CofferError, GuestFailed
from coffer.catalogue.states import ServiceStatus
from coffer.datastores.driver import Driver
from coffer.guestagent.reporting import Reporter
from coffer.wire.context import TroveContext
from coffer.wire.json import JSON

LOG = logging.getLogger(__name__)

Result = TypeVar("Result")

PATIENCE_S: Final = 10.0
"""How long a call whose caller waits for the answer waits for its turn."""


class Work:
    """The driver of one instance, its reporter, and the one lock of all changes."""

    def __init__(self, driver: Driver, reporter: Reporter) -> None:
        """Call `changed` after every change, once somebody has set it."""
        self.driver = driver
        self.changed: Callable[[], None] = lambda: None
        self.stopping = threading.Event()
        """Set when the agent has to go: what takes long asks now and then."""
        self._reporter = reporter
        self._changing = threading.Lock()
        self._is_preparing = False

    def status(self) -> ServiceStatus:
        """Say how the server is; while it is being made, it is being made."""
        return ServiceStatus.BUILDING if self._is_preparing else self.driver.status()

    def in_background(self, ctx: TroveContext, change: Callable[[], None]) -> None:
        """Make a change that nobody waits for, when it is its turn, and report how the run ended.

        Raises:
            Exception: whatever the change raised, after it was reported.
        """

        def in_turn() -> None:
            with self._changing:
                change()

        try:
            self._reporter.run(ctx, in_turn)
        finally:
            self.changed()

    def beside(
        self, ctx: TroveContext, work: Callable[[], Mapping[str, JSON]], *, leaves: str | None = None
    ) -> None:
        """Do what changes nothing, beside the changes, and report with what it returns how the run ended.

        `leaves`: see `Reporter.run`.

        Raises:
            Exception: whatever the work raised, after it was reported.
        """
        try:
            self._reporter.run(ctx, work, leaves=leaves)
        finally:
            self.changed()

    def at_once(self, change: Callable[[], Result], *, patience_s: float = PATIENCE_S) -> Result:
        """Make a change whose caller waits for the answer, when it is its turn, for which it waits `patience_s`.

        Raises:
            GuestFailed: another change takes too long.
            CofferError: whatever the change raised.
        """
        if not self._changing.acquire(timeout=patience_s):
            raise GuestFailed(reason="The instance is busy with another change.")
        try:
            return change()
        finally:
            self._changing.release()
            self.changed()

    def tend(self) -> bool:
        """Do the housekeeping that is due; returns whether it was its turn: it waits for nobody."""
        if not self._changing.acquire(blocking=False):
            return False
        try:
            self.driver.tend()
        except CofferError as error:
            LOG.warning("housekeeping failed reason=%s", error.message)
        finally:
            self._changing.release()
        return True

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Say BUILD for as long as this lasts."""
        self._is_preparing = True
        self.changed()
        try:
            yield
        finally:
            self._is_preparing = False

    def revive(self) -> None:
        """Bring a server back that ran when its agent, or the machine, went down.

        Raises:
            CofferError: it does not come up.
        """
        with self._changing:
            down = self.driver.status() in {ServiceStatus.CRASHED, ServiceStatus.UNKNOWN}
            if self.driver.is_prepared() and down:
                self.driver.start()
        self.changed()
