"""Upstream Trove, for comparison; what else is in this folder runs in a virtual environment of its own."""

from pathlib import Path

WORKER = Path(__file__).parent / "worker.py"
