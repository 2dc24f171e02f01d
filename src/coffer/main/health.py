"""Whether a process of the API can do its work, asked by whoever balances load; no answer takes long."""

import logging
import threading
import time

from coffer.api.services import Check
from coffer.store import services
from coffer.store.database import Database
from coffer.store.errors import StoreError
from coffer.wire.broker_watch import BrokerWatch

LOG = logging.getLogger(__name__)

FRESH_S = 1.0
LIMIT_S = 2.0

NO_DATABASE = "The database does not answer."
NO_BROKER = "The broker does not answer."
OTHER_BROKER = "The broker has queues that were declared otherwise; coffer status says which."


class DatabaseProbe:
    """Reads from the database, in a thread of its own and at most once a second, however many ask."""

    def __init__(self, database: Database, *, fresh_s: float = FRESH_S, limit_s: float = LIMIT_S) -> None:
        """Take an answer for true for `fresh_s`, and wait for one at most `limit_s`."""
        self._database = database
        self._fresh_s = fresh_s
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._is_asking = False
        self._asked_s: float | None = None
        self._is_well = False

    def __call__(self) -> str | None:
        """Return what is wrong, without details; None if nothing is."""
        with self._lock:
            is_old = self._asked_s is None or time.monotonic() - self._asked_s > self._fresh_s
            if is_old and not self._is_asking:
                self._is_asking = True
                self._asked_s = time.monotonic()
                self._done.clear()
                threading.Thread(target=self._ask, name="database-probe", daemon=True).start()
        has_answered = self._done.wait(self._limit_s)
        return None if has_answered and self._is_well else NO_DATABASE

    def _ask(self) -> None:
        is_well = False
        try:
            with self._database.reading() as tx:
                services.list_all(tx)
            is_well = True
        except StoreError as error:
            LOG.warning("database probe failed reason=%s", error)
        finally:
            self._is_well = is_well
            self._is_asking = False
            self._done.set()


def checks(database: Database, watch: BrokerWatch | None) -> dict[str, Check]:
    """Return what `/healthz` asks, by its name there; without a `watch` there is no broker to ask for."""
    found: dict[str, Check] = {"database": DatabaseProbe(database)}
    if watch is not None:
        found["broker"] = lambda: _broker(watch)
    return found


def _broker(watch: BrokerWatch) -> str | None:
    if watch.disagrees():
        return OTHER_BROKER
    return NO_BROKER if watch.trouble() is not None else None
