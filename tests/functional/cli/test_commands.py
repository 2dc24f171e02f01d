import json
import subprocess
import sys

import pytest
from click import Context
from tests.functional.cli.conftest import Command

from coffer.cli.commands import COMMANDS, coffer
from coffer.derive.formats import FORMATS

# How long the start may take besides, is a matter for the benchmarks; what it imports decides.
_LIGHT = """
import sys
sys.argv = ["coffer", "catalogue", "--format", "json"]
from coffer.cli.commands import coffer
try:
    coffer()
except SystemExit as ended:
    assert ended.code == 0
heavy = {"oslo_messaging", "oslo_config", "sqlalchemy", "alembic", "falcon", "kombu", "granian"} & sys.modules.keys()
print(sorted(heavy), file=sys.stderr)
"""


def test_the_catalogue_starts_without_the_heavy_libraries() -> None:
    done = subprocess.run([sys.executable, "-c", _LIGHT], capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)["events"]) == 93
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_of_the_catalogue_prints(command: Command, format_: str) -> None:
    result = command("catalogue", "--format", format_)
    assert result.exit_code == 0
    assert "trove.instance.exists" in result.stdout or format_ == "aodh"
    assert result.stdout.endswith("\n")


def test_the_table_of_the_catalogue_counts_its_rows(command: Command) -> None:
    assert command("catalogue").stdout.endswith("\n93 events\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_says_its_exit_codes(command: Command, name: str) -> None:
    result = command(name, "--help")
    assert result.exit_code == 0
    loaded = coffer.get_command(Context(coffer), name)
    assert loaded is not None
    assert "xit code" in result.stdout or hasattr(loaded, "commands")


@pytest.mark.parametrize("name", ["usage", "failures"])
def test_what_is_not_built_fails_and_says_so(command: Command, name: str) -> None:
    result = command(name, "--begin", "2026-11-01", "--format", "json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: coffer {name} is not available in this version.\n"


def test_the_version_is_the_packages(command: Command) -> None:
    from importlib.metadata import version

    assert command("--version").stdout == f"coffer, version {version('coffer')}\n"


def test_an_unknown_command_is_a_mistake(command: Command) -> None:
    assert command("fly").exit_code == 2


def test_the_module_runs_as_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "coffer.cli", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: coffer ")
