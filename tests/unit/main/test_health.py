"""`/healthz` asks the database in a bounded way, whoever asks it, and however often."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coffer.main.health import NO_DATABASE, DatabaseProbe
from coffer.store import migrate
from coffer.store.database import Database
from coffer.store.errors import StoreUnavailable


class Frozen:
    """A database that answers nobody until it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.let_go = threading.Event()

    @contextmanager
    def reading(self) -> Iterator[None]:
        self.asked += 1
        self.let_go.wait()
        raise StoreUnavailable("coffer", "it is frozen")
        yield


def test_a_database_that_answers_is_well(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/coffer.db"
    migrate.upgrade(url)
    database = Database(url)
    assert DatabaseProbe(database)() is None
    database.close()


def test_a_frozen_database_is_asked_once_and_holds_nobody_up() -> None:
    database = Frozen()
    probe = DatabaseProbe(database, fresh_s=0.0, limit_s=0.01)  # type: ignore[arg-type]
    try:
        assert [probe() for _ in range(10)] == [NO_DATABASE] * 10
        assert database.asked == 1
    finally:
        database.let_go.set()


def test_one_answer_serves_all_who_ask_soon_after() -> None:
    database = Frozen()
    database.let_go.set()
    probe = DatabaseProbe(database, fresh_s=3600.0)  # type: ignore[arg-type]
    assert [probe() for _ in range(10)] == [NO_DATABASE] * 10
    assert database.asked == 1
