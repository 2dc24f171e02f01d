"""A service's sign of life: what the watchdog goes by when it asks whether the owner of a run still lives."""

import logging
import os
import threading

from coffer.lifecycle.emitter import Clock, Emitter, utcnow
from coffer.store import runs, services
from coffer.store.database import Database
from coffer.store.errors import StoreUnavailable
from coffer.store.services import Service

LOG = logging.getLogger(__name__)


class Presence:
    """Registers one service and says every `interval_s` that it lives, until stopped."""

    def __init__(
        self,
        database: Database,
        emitter: Emitter,
        *,
        kind: str,
        interval_s: float = 5.0,
        clock: Clock = utcnow,
    ) -> None:
        """Speak for `emitter`; `kind` is the service's name for `coffer status`."""
        self._database = database
        self._emitter = emitter
        self._kind = kind
        self._interval_s = interval_s
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"presence-{kind}", daemon=True)

    def start(self) -> None:
        """Register, then beat in a thread.

        Raises:
            StoreUnavailable: if the database cannot be reached.
        """
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
                if not runs.orphaned(tx, [self._emitter.service_id]):
                    services.remove(tx, self._emitter.service_id)
        except StoreUnavailable:
            LOG.warning("could not sign off service=%s", self._kind)

    def _register(self) -> None:
        now = self._clock()
        with self._database.writing() as tx:
            services.register(
                tx,
                Service(
                    id=self._emitter.service_id,
                    kind=self._kind,
                    host=self._emitter.host,
                    pid=os.getpid(),
                    started_at=now,
                    seen_at=now,
                ),
            )

    def _beat(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                with self._database.writing() as tx:
                    known = services.beat(tx, self._emitter.service_id, self._clock())
                if not known:  # we were silent for so long that the watchdog signed us off
                    self._register()
            except StoreUnavailable as error:
                LOG.warning("no sign of life could be written service=%s reason=%s", self._kind, error)
