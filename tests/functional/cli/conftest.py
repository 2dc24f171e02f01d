"""State directories as a standalone control plane leaves them, and the command in this process."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.support.messages import ARRIVAL, HAPPENED, message

from coffer.cli.commands import coffer
from coffer.collector import migrate as collector_migrate
from coffer.collector.collector import Collector
from coffer.collector.database import Database as CollectorDatabase
from coffer.store import migrate
from coffer.store.database import Database

Command = Callable[..., Result]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Run `coffer` with these arguments, as an operator who has never used it."""
    monkeypatch.delenv("COFFER_STATE_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str | Path) -> Result:
        return CliRunner().invoke(coffer, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir()
    return path


@pytest.fixture
def collector(state_dir: Path) -> Iterator[Collector]:
    database = CollectorDatabase(f"sqlite:///{state_dir}/collector.db")
    collector_migrate.upgrade(database)
    yield Collector(database, lambda: ARRIVAL)
    database.close()


@pytest.fixture
def control(state_dir: Path) -> Iterator[Database]:
    url = f"sqlite:///{state_dir}/coffer.db"
    migrate.upgrade(url)
    database = Database(url)
    yield database
    database.close()


def four_events() -> list[bytes]:
    """Two runs of acme, one of them failed, and a fact of another tenant."""
    second = timedelta(seconds=1)
    return [
        message("m-1"),
        message("m-2", event_type="dbaas.database_create.end", timestamp=HAPPENED + second),
        message(
            "m-3",
            event_type="dbaas.user_create.error",
            severity="error",
            timestamp=HAPPENED + 2 * second,
            payload={"tenant_id": "acme", "run_id": "run-2", "username": "\x1b[2J\u202eevil [bold]"},
        ),
        message(
            "m-4",
            event_type="trove.instance.create",
            timestamp=HAPPENED + 3 * second,
            payload={"tenant_id": "other", "instance_id": "i-2", "created_at": None, "volume_size": 2},
            context={},
        ),
    ]
