"""The directory in which a standalone control plane keeps everything, and the lock on it."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

ENDPOINT = "endpoint.json"
LOCK = "standalone.lock"


class StateDirError(Exception):
    """The directory cannot be used; a sentence for the operator."""


@contextlib.contextmanager
def held(state_dir: Path) -> Iterator[Path]:
    """Make the directory if need be and hold it against a second control plane.

    A new directory can be passed through by the database servers' users, and its files are closed to them.

    Raises:
        StateDirError: if it cannot be made or written, or another control plane has it.
    """
    state_dir = state_dir.absolute()
    try:
        _make(state_dir)
        lock = (state_dir / LOCK).open("a+")
    except OSError as error:
        raise StateDirError(f"the state directory {state_dir} cannot be used: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateDirError(f"another coffer runs on {state_dir}") from error
        try:
            yield state_dir
        finally:
            (state_dir / ENDPOINT).unlink(missing_ok=True)


def _make(state_dir: Path) -> None:
    """Make the directory, and those above it that are missing, so that others may pass through."""
    missing = [directory for directory in (state_dir, *state_dir.parents) if not directory.exists()]
    os.umask(0o077)
    for directory in reversed(missing):
        directory.mkdir()
        directory.chmod(0o711)


def publish_endpoint(state_dir: Path, url: str) -> None:
    """Write where we listen, for scripts: whole or not at all."""
    draft = state_dir / f".{ENDPOINT}.new"
    draft.write_text(json.dumps({"url": url, "pid": os.getpid()}) + "\n")
    draft.replace(state_dir / ENDPOINT)
