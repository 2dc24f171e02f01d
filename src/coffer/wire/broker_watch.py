"""Looks after what coffer and its broker of RPC must agree on, and says in a sentence what is wrong between them.

oslo.messaging answers a broker that has a queue or an exchange declared otherwise with a line in the log, or falls
back to queues that do not outlive the broker. Here it is found before anybody listens, and again if it comes later.
"""

import logging
import threading
import time
from collections.abc import Callable

from coffer.wire.amqp_link import AmqpLink
from coffer.wire.amqp_settings import AmqpSettings
from coffer.wire.publisher import BrokerMismatch, BrokerUnavailable

LOG = logging.getLogger(__name__)

INTERVAL_S = 5.0


class BrokerWatch:
    """Declares what a service needs, again and again, over a connection of its own."""

    def __init__(
        self,
        settings: AmqpSettings,
        *,
        name: str,
        queues: tuple[str, ...] = (),
        interval_s: float = INTERVAL_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch for the service `name`, which listens to `queues`, or to none and only sends."""
        self._settings = settings
        self._name = name
        self._queues = queues
        self._interval_s = interval_s
        self._monotonic = monotonic
        self._link: AmqpLink | None = None
        self._error: BrokerUnavailable | None = None
        self._looked_s = monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="broker-watch", daemon=True)

    def start(self) -> None:
        """Look once, then every few seconds in a thread."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; a look under way ends with its time limit."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._disconnect()

    def trouble(self) -> str | None:
        """Return what is wrong; None if nothing is. It returns at once, whatever the broker does."""
        error = self._error
        if error is not None:
            return f"the broker of RPC: {error}"
        silent_s = self._monotonic() - self._looked_s
        if silent_s > self._interval_s + self._settings.timeout_s:
            return f"the broker of RPC has not answered for {silent_s:.0f} s"
        return None

    def disagrees(self) -> bool:
        """True while the broker has something of ours that was declared otherwise."""
        return isinstance(self._error, BrokerMismatch)

    def look(self) -> None:
        """Look now, and remember what was found; a change is logged once."""
        try:
            self._declare()
        except BrokerUnavailable as error:
            self._disconnect()
            self._note(error)
        else:
            self._note(None)
        self._looked_s = self._monotonic()

    def _declare(self) -> None:
        if self._link is None:
            self._link = AmqpLink(self._settings, name=f"coffer-{self._name}-watch")
        link = self._link
        link.tick()
        link.declare_exchange()
        for queue in self._queues:
            link.declare_queue(
                queue, (queue,), durable=self._settings.durable, auto_delete=self._settings.auto_delete
            )

    def _note(self, error: BrokerUnavailable | None) -> None:
        before, self._error = self._error, error
        if error is None:
            if before is not None:
                LOG.warning("the broker of RPC and this service agree again")
        elif isinstance(error, BrokerMismatch):
            if str(before) != str(error):
                LOG.error("broker mismatch: %s", error)
        elif before is None:
            LOG.error("the broker of RPC cannot be used reason=%s", error)

    def _disconnect(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.look()
