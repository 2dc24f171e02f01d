"""An SQLite database file as every part of coffer opens one: its owner's alone, and with a write-ahead log.

Below all floors and standard library only, since the control plane's store and the collector must not know
each other and both need it.
"""

import os
import sqlite3
import time
from pathlib import Path

_BETWEEN_ATTEMPTS_S = 0.01


def create_private(path: Path) -> None:
    """Create the file so that only its owner reads it, unless it is there or has no directory.

    A file that exists is never opened here: closing it again would drop the locks that SQLite holds on it for
    other connections of this process (POSIX advisory locks belong to the process, not to the descriptor).
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except (FileExistsError, FileNotFoundError, NotADirectoryError):
        return


def use_write_ahead_log(connection: sqlite3.Connection, *, patience_s: float) -> None:
    """Switch the file of a connection outside a transaction to write-ahead logging, which the file remembers.

    The switch wants the file for itself and does not wait for it: of two connections that open a new file at
    once, SQLite refuses one without asking the busy timeout, since each holds what the other wants. That one
    tries again, for at most `patience_s`.

    Raises:
        sqlite3.OperationalError: if the file stays locked that long, or cannot be used at all.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(_BETWEEN_ATTEMPTS_S)
        else:
            return
