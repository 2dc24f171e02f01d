"""Guest agents as processes of their own."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.contract.clouds.conftest import PATIENT, agent_command
from tests.support.waiting import wait_for

from coffer.catalogue.errors import CloudFailed
from coffer.clouds.local import processes
from coffer.clouds.local.launcher import Command, GuestLauncher, ProcessLauncher, guest_command

REPORT = """
import json, os, signal
print(json.dumps([dict(os.environ), os.getcwd(), os.getsid(0) == os.getpid()]), flush=True)
signal.pause()
"""
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("deaf", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def guest_dir(scratch_dir: Path) -> Path:
    path = scratch_dir / "instances" / "i-1"
    path.mkdir(parents=True)
    return path


def launcher_for(
    guest_dir: Path, command: Command = agent_command, *, grace_s: float = 0.5
) -> ProcessLauncher:
    return ProcessLauncher(guest_dir.parent, command, grace_s=grace_s, deadline_s=5)


def agents(guest_dir: Path) -> frozenset[processes.Identity]:
    return processes.naming(str(guest_dir))


def test_launch_and_stop_can_be_repeated(guest_dir: Path) -> None:
    launcher: GuestLauncher = launcher_for(guest_dir)
    launcher.stop("i-1")
    launcher.launch(guest_dir)
    first = agents(guest_dir)
    launcher.launch(guest_dir)
    assert agents(guest_dir) == first
    assert len(first) == 1
    launcher.stop("i-1")
    launcher.stop("i-1")
    assert agents(guest_dir) == frozenset()


def test_an_agent_without_a_note_is_found_by_its_arguments(guest_dir: Path) -> None:
    launcher_for(guest_dir).launch(guest_dir)
    first = agents(guest_dir)
    (guest_dir / "guestagent.pid").unlink()
    successor = launcher_for(guest_dir)
    successor.launch(guest_dir)
    assert agents(guest_dir) == first
    successor.stop("i-1")
    assert agents(guest_dir) == frozenset()


@pytest.mark.parametrize(
    "note",
    [
        "",
        "{",
        "[]",
        '{"pid": 1, "started": 1}',
        '{"pid": "x", "started": 1, "boot_id": ""}',
        '{"pid": 1, "started": 1, "boot_id": "another boot"}',
    ],
)
def test_a_note_that_says_nothing_does_not_hinder_a_launch(guest_dir: Path, note: str) -> None:
    (guest_dir / "guestagent.pid").write_text(note)
    launcher = launcher_for(guest_dir)
    launcher.launch(guest_dir)
    assert len(agents(guest_dir)) == 1
    launcher.stop("i-1")


def test_a_note_from_another_boot_stops_nobody(guest_dir: Path) -> None:
    bystander = processes.identify(os.getpid())
    assert bystander is not None
    note = f'{{"pid": {bystander.pid}, "started": {bystander.started}, "boot_id": "another boot"}}'
    (guest_dir / "guestagent.pid").write_text(note)
    launcher_for(guest_dir).stop("i-1")
    assert processes.alive(bystander)


def test_an_agent_that_does_not_listen_is_killed(guest_dir: Path) -> None:
    launcher = launcher_for(guest_dir, lambda place: [sys.executable, "-c", DEAF, str(place)], grace_s=0.2)
    launcher.launch(guest_dir)
    wait_for(lambda: "deaf" in (guest_dir / "guestagent.log").read_text(), 10, "the agent to be deaf")
    (agent,) = agents(guest_dir)
    launcher.stop("i-1")
    assert not processes.alive(agent)


def test_an_agent_inherits_no_secret_and_no_terminal(
    guest_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_PASSWORD", "s3cret")
    monkeypatch.setenv("PGPASSWORD", "s3cret")
    monkeypatch.setenv("LC_ALL", "de_DE")
    launcher = launcher_for(guest_dir, lambda place: [sys.executable, "-c", REPORT, str(place)])
    launcher.launch(guest_dir)
    log = guest_dir / "guestagent.log"
    wait_for(lambda: log.read_text().endswith("\n"), 10, "the agent's report")
    environment, cwd, leads_session = json.loads(log.read_text())
    launcher.stop("i-1")
    assert "s3cret" not in log.read_text()
    assert environment["LC_ALL"] == "C.UTF-8"
    assert environment["PATH"] == os.environ["PATH"]
    assert (cwd, leads_session) == ("/", True)


def test_the_log_is_not_written_through_a_link(guest_dir: Path, scratch_dir: Path) -> None:
    (guest_dir / "guestagent.log").symlink_to(scratch_dir / "elsewhere")
    with pytest.raises(CloudFailed):
        launcher_for(guest_dir).launch(guest_dir)
    assert not (scratch_dir / "elsewhere").exists()


def test_a_missing_directory_is_a_failure_without_a_process(guest_dir: Path) -> None:
    missing = guest_dir.with_name("i-2")
    with pytest.raises(CloudFailed, match="could not make room"):
        launcher_for(guest_dir).launch(missing)
    assert agents(missing) == frozenset()


def test_an_agent_that_cannot_be_noted_does_not_run(guest_dir: Path) -> None:
    def command(place: Path) -> Sequence[str]:
        # From here on the note cannot take its place.
        (place / "guestagent.pid").mkdir()
        return [*PATIENT, str(place)]

    with pytest.raises(CloudFailed):
        launcher_for(guest_dir, command).launch(guest_dir)
    assert agents(guest_dir) == frozenset()


def test_the_default_command_names_the_directory_and_no_configuration(guest_dir: Path) -> None:
    assert list(guest_command(guest_dir)) == [
        sys.executable, "-m", "coffer.cli", "guestagent", "--guest-dir", str(guest_dir),
    ]  # fmt: skip
