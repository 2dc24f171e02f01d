"""What is derived is fresh, and whatever can be set or read is documented."""

from pathlib import Path

import click
import pytest

from coffer.cli.commands import coffer
from coffer.derive import check
from coffer.main import policy_document, settings_document
from coffer.main.settings import GROUPS
from coffer.wire import options as messaging

ROOT = Path(__file__).parents[2]
CONFIGURATION = (ROOT / settings_document.DOCUMENT).read_text()

OPTIONS = [
    (group or "DEFAULT", option)
    for group, options in (*GROUPS, (None, messaging.OPTIONS))
    for option in options
]

COMMANDS = {
    "standalone",
    "api",
    "taskmanager",
    "conductor",
    "guestagent",
    "relay",
    "collector",
    "db",
    "catalogue",
    "ceilometer",
    "events",
    "policy",
    "usage",
    "failures",
    "status",
}
"""What others rely on; never renamed."""


@pytest.mark.parametrize(
    ("group", "option"), [pytest.param(*each, id=f"{each[0]}.{each[1].name}") for each in OPTIONS]
)
def test_every_option_is_documented(group: str, option: object) -> None:
    name = getattr(option, "name", "")
    parts = CONFIGURATION.split("\n## ")
    (part, *_) = [each for each in parts if each.startswith(f"[{group}]") and f"| `{name}` |" in each]

    assert str(getattr(option, "help", "")) in part


SECRET = {"connection", "secrets", "broker_management_url"}


def test_an_option_with_a_password_is_marked() -> None:
    for _, option in OPTIONS:
        assert option.secret == (option.name in SECRET), option.name


def test_the_document_of_the_options_is_fresh() -> None:
    assert settings_document.main(["--check", str(ROOT)]) == 0


def test_the_document_of_the_rules_is_fresh() -> None:
    assert policy_document.main(["--check", str(ROOT)]) == 0


def test_a_stale_document_of_the_options_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "docs").mkdir()
    assert settings_document.main(["--check", str(tmp_path)]) == 1
    assert "run `make docs`" in capsys.readouterr().err

    assert settings_document.main(["--write", str(tmp_path)]) == 0
    assert settings_document.main(["--check", str(tmp_path)]) == 0


def test_what_is_derived_from_the_catalogue_is_fresh() -> None:
    assert check.stale(ROOT) == []


def test_the_commands_have_the_names_that_others_rely_on() -> None:
    assert set(coffer.list_commands(click.Context(coffer))) >= COMMANDS
