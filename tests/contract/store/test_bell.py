"""One process rings, another one hears it; without a bell nothing breaks."""

import threading

import pytest
from tests.support.databases import postgresql_server, postgresql_template, postgresql_url
from tests.support.postgresql_server import PostgresqlServer
from tests.support.waiting import wait_for

from coffer.store import bell
from coffer.store.database import Database

__all__ = ["postgresql_server", "postgresql_template", "postgresql_url"]

pytestmark = pytest.mark.postgresql


def test_who_listens_is_woken_by_each_commit_and_again_after_the_server_was_away(
    postgresql_url: str, postgresql_server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bell, "AWAY_S", 0.1)
    database, committed, woken = Database(postgresql_url), threading.Event(), threading.Event()
    assert bell.is_there(database)
    ringer, listener = bell.Ringer(database, committed), bell.Listener(database, woken.set)
    ringer.start()
    listener.start()

    def is_heard() -> bool:
        committed.set()
        return woken.wait(0.2)

    try:
        wait_for(is_heard, 20, "the bell")
        postgresql_server.kill_and_restart()
        woken.clear()
        wait_for(is_heard, 20, "the bell, after the server was away")
    finally:
        ringer.stop()
        listener.stop()
        database.close()
