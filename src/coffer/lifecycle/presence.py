"""A service's sign of life: what the watchdog goes by when it asks whether the owner of a run still lives."""

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from coffer.lifecycle.emitter import Clock, utcnow
from coffer.store import runs, services
from coffer.store.database import Database
from coffer.store.errors import StoreError
from coffer.store.services import Service

LOG = logging.getLogger(__name__)

BEAT_INTERVAL_S = 5.0


LONGEST_TROUBLE = 1000
"""Characters."""

Trouble = Callable[[], str | None]
"""Says what keeps the service from its work; None if nothing does. It returns at once and does not raise."""


class Identity(Protocol):
    """Who speaks: an `Emitter`, for one that writes events."""

    @property
    def service_id(self) -> str:
        """Names this start of this process."""

    @property
    def host(self) -> str:
        """Names the machine."""


@dataclass(frozen=True, slots=True)
class Registrant:
    """The identity of a service that writes no events."""

    service_id: str
    host: str


class Presence:
    """Registers one service and says every `interval_s` that it lives, and how, until stopped."""

    def __init__(
        self,
        database: Database,
        identity: Identity,
        *,
        kind: str,
        trouble: Trouble = lambda: None,
        interval_s: float = BEAT_INTERVAL_S,
        clock: Clock = utcnow,
    ) -> None:
        """Speak for `identity`; `kind` is the service's name for `coffer status`, which shows its `trouble` too."""
        self._database = database
        self._identity = identity
        self._kind = kind
        self._trouble = trouble
        self._interval_s = interval_s
        self._clock = clock
        self._started_at: datetime | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"presence-{kind}", daemon=True)

    def start(self) -> None:
        """Register, then beat in a thread.

        Raises:
            StoreUnavailable: if the database cannot be reached.
        """
        self._started_at = self._clock()
        self._register()
        self._thread.start()

    def stop(self) -> None:
        """Stop beating and sign off.

        With runs left open it stays registered instead: the watchdog finds it silent, and looks after them.
        """
        self._stop.set()
        self._thread.join()
        try:
            with self._database.writing() as tx:
                if not runs.orphaned(tx, [self._identity.service_id]):
                    services.remove(tx, self._identity.service_id)
        except StoreError as error:
            LOG.warning("could not sign off service=%s reason=%s", self._kind, error)

    def beat(self) -> None:
        """Say once that the service lives; register again if a watchdog took it for dead meanwhile.

        Raises:
            StoreError: if the database does not take it.
        """
        now = self._clock()
        with self._database.writing() as tx:
            if not services.beat(tx, self._identity.service_id, now, self._said()):
                LOG.warning("service was taken for dead, and registers again service=%s", self._kind)
                services.register(tx, self._service(now))

    def _register(self) -> None:
        with self._database.writing() as tx:
            services.register(tx, self._service(self._clock()))

    def _service(self, now: datetime) -> Service:
        return Service(
            id=self._identity.service_id,
            kind=self._kind,
            host=self._identity.host,
            pid=os.getpid(),
            started_at=self._started_at or now,
            seen_at=now,
            trouble=self._said(),
        )

    def _said(self) -> str | None:
        trouble = self._trouble()
        return trouble and trouble[:LONGEST_TROUBLE]

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self.beat()
            except StoreError as error:
                LOG.warning("no sign of life could be written service=%s reason=%s", self._kind, error)
