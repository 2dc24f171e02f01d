"""`coffer policy`, as an operator types it."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from coffer.cli.commands import coffer


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(coffer, ["policy", *map(str, words)])


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "coffer.conf"
    path.write_text("[oslo_policy]\npolicy_file = mine.yaml\n")
    return path


def test_the_sample_is_a_policy_file(tmp_path: Path) -> None:
    done = run("sample")

    assert done.exit_code == 0
    assert yaml.safe_load(done.stdout) is None
    path = tmp_path / "policy.yaml"
    path.write_text(done.stdout.replace('#"', '"'))
    assert run("check", "--policy-file", path).exit_code == 0


def test_the_list_shows_what_is_in_force_and_whose_it_is(config_file: Path) -> None:
    config_file.with_name("mine.yaml").write_text('"dba": "role:dba"\n"instance:delete": "rule:dba"\n')

    done = run("list", "--config-file", config_file, "--format", "json")

    rules = {rule["rule"]: rule for rule in json.loads(done.stdout)["rules"]}
    assert (rules["instance:delete"]["check"], rules["instance:delete"]["by_default"]) == ("rule:dba", False)
    assert rules["instance:delete"]["calls"] == ["DELETE /v1.0/{project_id}/instances/{instance_id}"]
    assert (rules["instance:index"]["check"], rules["instance:index"]["by_default"]) == (
        "rule:project_reader",
        True,
    )
    assert rules["dba"]["check"] == "role:dba"
    assert "yours" in run("list", "--config-file", config_file).stdout


def test_the_check_says_what_is_wrong(config_file: Path) -> None:
    own = config_file.with_name("mine.yaml")
    own.write_text('"instance:deletion": "role:dba"\n')
    done = run("check", "--config-file", config_file)
    assert (done.exit_code, done.stdout) == (1, "nothing is guarded by the rule instance:deletion\n")

    own.write_text("- a list\n")
    done = run("check", "--policy-file", own)
    assert done.exit_code == 1
    assert "must hold a table" in done.stderr

    own.unlink()
    assert "is not there" in run("check", "--config-file", config_file).stderr
    assert run("check").exit_code == 2
