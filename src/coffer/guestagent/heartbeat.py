"""Tells the conductor, now and then and after every change, that the guest lives and how its server is."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from coffer.catalogue.errors import DispatchFailed, GuestFailed
from coffer.guestagent.reporting import Conductor, Reporter
from coffer.guestagent.work import Work
from coffer.wire.context import TroveContext

LOG = logging.getLogger(__name__)

_TEND_EVERY_S: Final = 60.0
_RETRY_S: Final = 1.0
_MEASURE_EVERY_S: Final = 1.0
"""At most; beats that follow changes can come thick and fast."""


class Heartbeat:
    """A thread that beats. Reports that were not answered yet go first."""

    def __init__(
        self,
        *,
        instance_id: str,
        work: Work,
        reporter: Reporter,
        conductor: Conductor,
        interval_s: float,
        before: Callable[[], bool],
    ) -> None:
        """Beat every `interval_s`; `before` is asked before each beat until it says that it is done."""
        self._instance_id = instance_id
        self._work = work
        self._reporter = reporter
        self._conductor = conductor
        self._interval_s = interval_s
        self._before = before
        self._wake = threading.Event()
        self._is_stopping = False
        self._tended_at_s = time.monotonic()
        self._measured_at_s = float("-inf")
        self._is_silenced = False
        self._thread = threading.Thread(target=self._run, name=f"heartbeat-{instance_id}", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def soon(self) -> None:
        """Beat as soon as possible: something changed."""
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Beat no more."""
        self._is_stopping = True
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        is_ready = False
        while not self._is_stopping:
            self._wake.clear()
            is_ready = is_ready or self._before()
            said = self._beat()
            self._wake.wait(self._interval_s if said and is_ready else min(_RETRY_S, self._interval_s))

    def _beat(self) -> bool:
        """Return whether everything that was to be said was taken."""
        if time.monotonic() - self._tended_at_s > _TEND_EVERY_S and self._work.tend():
            self._tended_at_s = time.monotonic()
        used_bytes = self._measure()
        status, sent_at = self._work.status(), datetime.now(UTC)
        ctx = TroveContext(overwrite=False)
        is_all_said = self._resend()
        try:
            self._conductor.heartbeat(
                ctx,
                self._instance_id,
                status.value,
                sent_at.isoformat(),
                volume_used_bytes=used_bytes,
            )
        except DispatchFailed:
            if not self._is_silenced:
                LOG.warning("conductor out of reach instance_id=%s", self._instance_id)
            self._is_silenced = True
            return False
        self._is_silenced = False
        return is_all_said

    def _resend(self) -> bool:
        """Repeat reports; return whether they were answered."""
        try:
            self._reporter.resend()
        except DispatchFailed:
            return False
        return True

    def _measure(self) -> int | None:
        """Keep the server to its volume; return what is on it, None where it is not known or not yet due."""
        now_s = time.monotonic()
        if now_s - self._measured_at_s < _MEASURE_EVERY_S:
            return None
        self._measured_at_s = now_s
        try:
            return self._work.driver.keep_to_volume()
        except GuestFailed as error:
            LOG.warning("volume not kept instance_id=%s reason=%s", self._instance_id, error)
            return None
