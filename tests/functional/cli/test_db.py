import json
from pathlib import Path

import pytest
from tests.functional.cli.conftest import Command

from coffer.collector import migrate as collector_migrate
from coffer.collector.collector import Collector
from coffer.collector.database import Database as CollectorDatabase
from coffer.store import migrate
from coffer.store.database import Database


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "coffer.conf"
    path.write_text(
        f"[database]\nconnection = sqlite:///{tmp_path}/a.db\n"
        f"[collector]\nconnection = sqlite:///{tmp_path}/b.db\n"
    )
    return path


def test_new_databases_get_the_schema_and_keep_it(
    command: Command, config_file: Path, tmp_path: Path
) -> None:
    result = command("db", "upgrade", "--config-file", config_file)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.count("now has the schema") == 2
    assert migrate.is_current(f"sqlite:///{tmp_path}/a.db")
    again = command("db", "upgrade", "--config-file", config_file)
    assert (again.exit_code, again.stdout.count("had the schema of this version already")) == (0, 2)


def test_one_of_the_two_can_be_chosen(command: Command, config_file: Path, tmp_path: Path) -> None:
    assert command("db", "upgrade", "--config-file", config_file, "--only", "collector").exit_code == 0
    assert not (tmp_path / "a.db").exists()
    database = CollectorDatabase(f"sqlite:///{tmp_path}/b.db")
    assert collector_migrate.is_current(database)
    database.close()


def test_a_state_directory_is_brought_up_to_date(
    command: Command, control: Database, collector: Collector, state_dir: Path
) -> None:
    assert command("db", "upgrade", "--state-dir", state_dir).exit_code == 0


def test_the_events_of_separate_services_are_found_by_their_configuration(
    command: Command, config_file: Path
) -> None:
    command("db", "upgrade", "--config-file", config_file)
    result = command("events", "list", "--config-file", config_file, "--format", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"events": []})
    assert command("status", "--config-file", config_file).exit_code == 1, "no service runs there"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the option connection of the group [database] must be set"),
        (
            "[database]\nconnection = oracle://scott:tiger@host/x\n",
            "oracle is not among the supported databases",
        ),
        ("[database]\nconnection = sqlite:////nonexistent/x.db\n", "not available"),
        ("not a configuration\n", "coffer.conf"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_said_in_a_sentence(
    command: Command, tmp_path: Path, text: str, complaint: str
) -> None:
    path = tmp_path / "coffer.conf"
    path.write_text(text)
    result = command("db", "upgrade", "--config-file", path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert complaint in result.stderr
    assert "tiger" not in result.stderr
    assert isinstance(result.exception, SystemExit)
