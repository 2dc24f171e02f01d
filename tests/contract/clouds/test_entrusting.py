"""What an agent proves itself with: laid beside it, closed to everybody else, there before it starts."""

import stat
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.clouds.conftest import cloud_on, spec
from tests.support.waiting import wait_for

from coffer.catalogue.errors import CloudFailed
from coffer.clouds.local import entrusted
from coffer.clouds.local.cloud import LocalCloud
from coffer.clouds.local.settings import LocalSettings
from coffer.wire.sealed import credentials

READER = (
    "import pathlib, signal, sys; place = pathlib.Path(sys.argv[1]);"
    "print((place / 'credentials.json').read_text(), (place / 'agent.conf').read_text(), flush=True);"
    "signal.pause()"
)
SETTINGS = LocalSettings(stop_grace_s=0.3, stop_deadline_s=5, agent_settings="[DEFAULT]\ndebug = true\n")


def reader_command(guest_dir: Path) -> Sequence[str]:
    return [sys.executable, "-c", READER, str(guest_dir)]


@pytest.fixture
def cloud(scratch_dir: Path) -> LocalCloud:
    return cloud_on(scratch_dir / "root", SETTINGS, command=reader_command)


def test_an_agent_finds_its_credentials_and_settings_when_it_starts(cloud: LocalCloud) -> None:
    cloud.create(replace(spec(), credentials="hush"))
    guest_dir = cloud.layout.guest_dir("i-1")
    log = guest_dir / "guestagent.log"
    wait_for(lambda: "debug" in log.read_text(), 10, "the agent to read")
    assert log.read_text().split() == ["hush", "[DEFAULT]", "debug", "=", "true"]
    for name in ("credentials.json", "agent.conf"):
        found = (guest_dir / name).stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, guest_dir.stat().st_uid)
    cloud.delete("i-1")


def test_other_credentials_reach_an_agent_that_runs(cloud: LocalCloud) -> None:
    cloud.create(spec())
    log = cloud.layout.guest_dir("i-1") / "guestagent.log"
    assert cloud.unentrusted() == ["i-1"]
    cloud.entrust("i-1", "first")
    wait_for(lambda: "first" in log.read_text(), 10, "the next agent to read")
    first = (log.parent / "guestagent.pid").read_text()
    cloud.entrust("i-1", "first")
    assert (log.parent / "guestagent.pid").read_text() == first
    cloud.create(replace(spec(), credentials="second"))
    wait_for(lambda: "second" in log.read_text(), 10, "the agent after that to read")
    assert cloud.unentrusted() == []
    cloud.delete("i-1")


def test_an_agent_whose_credentials_are_taken_away_is_without_until_it_has_others(cloud: LocalCloud) -> None:
    cloud.create(replace(spec(), credentials="first"))
    cloud.distrust("i-1")
    cloud.distrust("i-1")
    cloud.distrust("i-2")
    assert (cloud.unentrusted(), cloud.owned()) == (["i-1"], ["i-1"])
    cloud.entrust("i-1", "first")
    assert cloud.unentrusted() == []
    cloud.delete("i-1")


def test_credentials_for_an_instance_that_is_not_here_are_a_failure(cloud: LocalCloud) -> None:
    with pytest.raises(CloudFailed):
        cloud.entrust("i-2", "hush")
    assert cloud.owned() == []


def test_credentials_are_in_no_representation(cloud: LocalCloud) -> None:
    assert "hush" not in repr(replace(spec(), credentials="hush"))
    assert cloud.owned() == []


def test_cloud_and_agent_call_the_files_alike() -> None:
    assert entrusted.CREDENTIALS_NAME == credentials.FILE_NAME
    assert entrusted.SETTINGS_NAME == credentials.CONFIG_NAME
