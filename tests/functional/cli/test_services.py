import socket
import subprocess
import sys
from pathlib import Path

import pytest


def coffer(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coffer.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("kind", ["taskmanager", "conductor", "relay", "collector"])
def test_a_service_without_configuration_says_what_it_lacks(kind: str) -> None:
    done = coffer(kind)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"coffer {kind} cannot start: the option connection of the group [")
    assert "Traceback" not in done.stderr


def test_a_directory_that_cannot_be_used_is_said_in_a_sentence() -> None:
    done = coffer("standalone", "--state-dir", "/dev/null/x", "--port", "0")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "coffer cannot start: the state directory /dev/null/x cannot"
    )
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said_in_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = coffer("standalone", "--state-dir", str(tmp_path / "state"), "--port", str(port))
    assert done.returncode == 1
    assert f"127.0.0.1 port {port} cannot be listened on" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
