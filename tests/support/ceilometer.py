"""Asks the real Ceilometer, in a virtual environment of its own, what it makes of our messages."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DRIVER = Path(__file__).with_name("ceilometer_convert.py")
TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Answer:
    """What Ceilometer made of the messages."""

    events: dict[str, dict[str, Any]]
    """By event type: message_id, event_type, generated, traits (name: [type, value])."""
    samples: list[dict[str, Any]]
    gnocchi: dict[str, dict[str, Any] | None]
    """By event type: what would be done to Gnocchi's resources."""
    metrics: dict[str, str]
    """Gnocchi's resource type by metric."""
    log: str


def ceilometer_python() -> Path:
    """Return the Python that has Ceilometer; without one skip, or fail where CI is set."""
    venv = Path(os.environ.get("COFFER_CEILOMETER_VENV", ROOT / ".venv-ceilometer"))
    python = venv / "bin" / "python"
    if python.exists():
        return python
    reason = f"no Ceilometer: {venv} is missing (make setup, or set COFFER_CEILOMETER_VENV)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def convert(
    *,
    definitions: str,
    meters: str,
    gnocchi: str,
    bodies: Sequence[bytes],
    append_to_shipped: bool = False,
) -> Answer:
    """Let Ceilometer read the definitions and the message bodies."""
    asked = {
        "definitions": definitions,
        "append_to_shipped": append_to_shipped,
        "meters": meters,
        "gnocchi": gnocchi,
        "bodies": [body.decode() for body in bodies],
    }
    # -P: this file stands beside the driver and would be what it imports as `ceilometer`.
    done = subprocess.run(
        [ceilometer_python(), "-P", DRIVER],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return Answer(
        events={event["event_type"]: event for event in told["events"]},
        samples=told["samples"],
        gnocchi=told["gnocchi"],
        metrics=told["metrics"],
        log=done.stderr,
    )
