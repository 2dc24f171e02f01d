"""The processes of this machine that have to do with a directory, as seen from outside, and their end."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import wait_for

KILL_S = 30.0


@dataclass(frozen=True, slots=True)
class Process:
    """One process: what started it, and where it works."""

    pid: int
    arguments: str
    directory: str
    uid: int


def running() -> Iterator[Process]:
    """Walk the processes that run; a zombie is none, it waits for its parent only."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                yield from _read(entry)


def about(directory: Path) -> list[Process]:
    """Return every process that works below a directory or has it in its arguments, but for ourselves."""
    wanted = str(directory)
    return [
        each
        for each in running()
        if each.pid != os.getpid() and (wanted in each.arguments or each.directory.startswith(wanted))
    ]


def is_running(pid: int) -> bool:
    """Return whether a process runs."""
    with suppress(OSError):
        return any(_read(Path("/proc") / str(pid)))
    return False


def environment(pid: int) -> str:
    """Return a process's environment as it was started with; nothing of one that has ended."""
    with suppress(OSError):
        return (Path("/proc") / str(pid) / "environ").read_text(errors="replace")
    return ""


def kill_about(directory: Path) -> None:
    """Kill every process about a directory, by its id, and wait until they are gone."""

    def gone() -> bool:
        found = about(directory)
        for each in found:
            with suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)
        return not found

    wait_for(gone, KILL_S, f"the end of the processes about {directory}")


def _read(entry: Path) -> Iterator[Process]:
    status = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines() if ":" in line)
    if status["State"].split()[0] in "ZX":
        return
    yield Process(
        pid=int(entry.name),
        arguments=(entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"),
        directory=str((entry / "cwd").readlink()),
        uid=int(status["Uid"].split()[1]),
    )
