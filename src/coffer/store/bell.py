"""A bell between processes on PostgreSQL: who has committed an event rings, and a relay that sleeps wakes up.

It only shortens a wait. A ring that is lost costs the time until the relay's next look. No request waits for it: the
ringing is done by a thread of its own, seldom enough to disturb nobody (PostgreSQL notifies under one lock), and apart
from the transaction that it tells of.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable

import psycopg
import sqlalchemy as sa

from coffer.store.database import Database
from coffer.store.errors import StoreError

LOG = logging.getLogger(__name__)

CHANNEL = "coffer_outbox"
SPACING_S = 0.02
"""How far rings of one process are apart at least."""
CLOSING_S = 0.25
"""How often one who listens looks whether he is to stop."""
AWAY_S = 5.0


def is_there(database: Database) -> bool:
    """Whether this kind of database has a bell; elsewhere the relay looks ten times a second."""
    return database.name.startswith("postgresql")


class Ringer:
    """The side of those who write."""

    def __init__(self, database: Database, wanted: threading.Event) -> None:
        """Ring for who listens on the same database, each time that `wanted` was set."""
        self._database = database
        self._wanted = wanted
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ringer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wanted.wait()
            self._wanted.clear()
            try:
                with self._database.writing() as tx:
                    tx.execute(sa.text(f"NOTIFY {CHANNEL}"))
            except StoreError as error:
                LOG.debug("bell not rung reason=%s", error)
            self._stopping.wait(SPACING_S)


class Listener:
    """The side of the relay: calls `wake` at each ring, from a connection of its own."""

    def __init__(self, database: Database, wake: Callable[[], object]) -> None:
        """Listen on the same database."""
        self._database = database
        self._wake = wake
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bell", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            began_s = time.monotonic()
            try:
                self._listen()
            except (psycopg.Error, StoreError) as error:
                # The relay itself says that the database is away.
                LOG.debug("bell not heard reason=%s", type(error).__name__)
            self._stopping.wait(max(0.0, began_s + AWAY_S - time.monotonic()))

    def _listen(self) -> None:
        with contextlib.closing(self._database.dedicated()) as connection:
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}")
            while not self._stopping.is_set():
                for _ in connection.notifies(timeout=CLOSING_S, stop_after=1):
                    self._wake()
