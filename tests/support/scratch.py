"""A scratch directory that the unprivileged users of instances can reach.

pytest's `tmp_path` lies below a directory that is closed (0700) to other users, so a database server that
runs under a user of its own could not be started there.

Use: `from tests.support.scratch import scratch_dir` in a conftest.py, then take the fixture `scratch_dir`.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a new directory that others may traverse, and remove it with all that is in it."""
    path = Path(tempfile.mkdtemp(prefix="coffer-test-", dir="/tmp")).resolve()
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture
def scratch_dir() -> Iterator[Path]:
    """A new directory that others may traverse, removed afterwards."""
    with scratch() as path:
        yield path
