"""What an operator copies: the sample configuration and systemd's units. A test deploys the former; this is quick."""

import configparser
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Command, Context
from tests.support.secured import PLACEHOLDER, SAMPLE

from coffer.cli.commands import coffer
from coffer.main.settings import load

ETC = SAMPLE.parent
DEPLOY = ETC.parent / "docs" / "deploy.md"
UNITS = sorted((ETC / "systemd").glob("*.service"))
ANY = {"<API_PORT>": "8779", "<MY_IP>": "10.0.0.1"}


def filled_in() -> str:
    return PLACEHOLDER.sub(lambda word: ANY.get(word[0], "word"), SAMPLE.read_text())


def set_in_the_sample() -> Iterator[tuple[str, str, str]]:
    sections = configparser.ConfigParser(default_section="none", interpolation=None)
    sections.read_string(filled_in())
    for section in sections.sections():
        for name, value in sections.items(section):
            yield section, name, value


def test_the_sample_loads_and_sets_nothing_that_nobody_reads(tmp_path: Path) -> None:
    """oslo.config skips what it does not know, so a misspelt option would do nothing, silently."""
    file = tmp_path / "coffer.conf"
    file.write_text(filled_in())
    conf = load([file])
    options = list(set_in_the_sample())
    assert len(options) > 20
    for section, name, _ in options:
        group = conf if section == "DEFAULT" else getattr(conf, section)
        assert hasattr(group, name), f"[{section}] {name} is no option"
    assert conf.oslo_messaging_rabbit.rabbit_quorum_queue is True
    assert conf.graceful_shutdown_timeout == 60.0


def test_the_document_explains_each_word_of_the_sample() -> None:
    explained = DEPLOY.read_text()
    for word in set(PLACEHOLDER.findall(SAMPLE.read_text())) - {"<WORD>"}:
        assert f"`{word}`" in explained, f"docs/deploy.md does not say what {word} is"


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_what_there_is_and_gives_it_time_to_stop(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text()
    settings = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    program, command, *options = shlex.split(settings["ExecStart"])
    assert program == "/opt/coffer/bin/coffer"
    kinds = ["api", "conductor", "relay", "collector"] if command == "%i" else [command]
    for kind in kinds:
        found = coffer.get_command(Context(coffer), kind)
        assert isinstance(found, Command)
        assert options[0] in {name for parameter in found.params for name in parameter.opts}
    assert float(settings["TimeoutStopSec"]) > load([]).graceful_shutdown_timeout
    assert settings["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_stopping_the_taskmanager_leaves_the_tenants_servers_alone() -> None:
    (unit,) = [path for path in UNITS if "taskmanager" in path.name]
    assert "\nKillMode=process\n" in unit.read_text()
