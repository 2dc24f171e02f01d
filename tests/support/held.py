"""Holds work up from outside: a server whose backups wait while it goes on serving."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def backups_held_up(guest_dir: Path) -> Iterator[None]:
    """Keep backups of an instance from coming to their end: the checkpoint with which each begins waits."""
    postmaster = (guest_dir / "data" / "postmaster.pid").read_text().split()[0]
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    (pid,) = [int(each) for each in children if b"checkpointer" in Path(f"/proc/{each}/cmdline").read_bytes()]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
