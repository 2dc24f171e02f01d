"""How a server of RPC comes up and goes down: not before the broker agrees, and not before its work is done."""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from coffer.store.errors import StoreError
from coffer.wire.broker_watch import BrokerWatch
from coffer.wire.delivery import NotDeliveredError

LOG = logging.getLogger(__name__)

RETRY_S = 1.0


class Server(Protocol):
    """What is served: an `RpcServer`."""

    def start(self) -> None:
        """Begin to serve."""

    def stop(self, timeout_s: float) -> bool:
        """Take nothing more; False if what is being done was not finished in time."""


class Serving:
    """A server that waits for a broker which has something of ours declared otherwise, and that ends in time.

    Such a broker is an operator's business and may take hours; a service that ended instead could not say so.
    """

    def __init__(
        self,
        server: Server,
        *,
        watch: BrokerWatch | None,
        limit_s: float,
        give_up: Callable[[], object] = lambda: None,
        retry_s: float = RETRY_S,
    ) -> None:
        """Serve with `server`; what is not finished `limit_s` after `stop` is left, and `give_up` called."""
        self._server = server
        self._watch = watch
        self._limit_s = limit_s
        self._give_up = give_up
        self._retry_s = retry_s
        self._stopping = threading.Event()
        self._waiter: threading.Thread | None = None
        self.is_unfinished = False

    def start(self) -> None:
        """Begin to serve, or to wait.

        Raises:
            NotDeliveredError: if the broker is not there.
        """
        if self._watch is None or not self._watch.disagrees():
            self._server.start()
            return
        self._waiter = threading.Thread(target=self._wait, args=(self._watch,), name="serving", daemon=True)
        self._waiter.start()

    def stop(self) -> None:
        """Take nothing more, and finish what is being done."""
        self._stopping.set()
        if self._waiter is not None:
            self._waiter.join()
        if self._server.stop(self._limit_s):
            return
        self.is_unfinished = True
        LOG.warning("work is left unfinished after %s s", self._limit_s)
        try:
            self._give_up()
        except StoreError as error:
            # Perhaps it is why nothing got finished. The others will miss us, and do it then.
            LOG.error("work cannot be handed on reason=%s", error)  # noqa: TRY400 - it says all

    def _wait(self, watch: BrokerWatch) -> None:
        while not self._stopping.wait(self._retry_s):
            if watch.disagrees():
                continue
            try:
                self._server.start()
            except NotDeliveredError as error:
                LOG.warning("cannot serve yet reason=%s", error)
            else:
                LOG.info("serving begins")
                return
