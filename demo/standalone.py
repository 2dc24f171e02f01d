"""Runs `coffer standalone` as a process of its own, in a scratch directory, and cleans up after it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Standalone:
    """A running control plane: where it listens, and where it keeps its state."""

    url: str
    state_dir: Path


@contextmanager
def standalone() -> Iterator[Standalone]:
    """Start coffer on a free port; stop it and remove every server and file of it afterwards."""
    state_dir = Path(tempfile.mkdtemp(prefix="coffer-demo-"))
    state_dir.chmod(0o711)  # the database servers run as users of their own and must get through
    coffer = str(Path(sys.executable).with_name("coffer"))
    log = state_dir / "standalone.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [coffer, "standalone", "--state-dir", str(state_dir), "--port", "0"],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Standalone(url=_wait_for_endpoint(process, state_dir, log), state_dir=state_dir)
    finally:
        _stop(process)
        _kill_leftovers(state_dir)
        shutil.rmtree(state_dir)


def _wait_for_endpoint(process: subprocess.Popen[bytes], state_dir: Path, log: Path) -> str:
    endpoint = state_dir / "endpoint.json"
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if endpoint.exists():
            return str(json.loads(endpoint.read_text())["url"])
        time.sleep(0.05)
    sys.exit(f"coffer did not start:\n{log.read_text()[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _kill_leftovers(state_dir: Path) -> None:
    """Stop database servers that a demo cut short has left: they outlive the control plane by design."""
    for pid_file in state_dir.glob("instances/*/data/postmaster.pid"):
        try:
            os.kill(int(pid_file.read_text().split()[0]), signal.SIGINT)
        except (OSError, ValueError, IndexError):
            continue
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while any(state_dir.glob("instances/*/data/postmaster.pid")) and time.monotonic() < deadline:
        time.sleep(0.05)
