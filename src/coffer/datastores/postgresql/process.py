"""Starts, finds, signals and buries the server's processes.

What the instance's own files say is a hint only: a tenant who became superuser can write any number into
`postmaster.pid`. Before a process is believed or signalled, the kernel must say that it runs as the
instance's user and works in the instance's data directory.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from coffer.datastores.postgresql.layout import Layout

ENVIRONMENT: Final[Mapping[str, str]] = {"PATH": "/usr/bin:/bin"}
"""All that a server or tool inherits: no locale, no PG* variable, no secret of the agent's."""

_POLL_S: Final = 0.02
_READY: Final = "ready"
_APPEND_LOG: Final = 'log=$1; shift; exec "$@" >>"$log" 2>&1'
"""Opens the log as the instance's user, not as the agent's: a link in `log/` leads nowhere new."""

Child = subprocess.Popen[bytes]

_children: dict[int, Child] = {}
_children_lock = threading.Lock()
"""Servers that this process started and must reap when they end; they outlive the driver that did it."""


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The main process of a running server; `is_ready` once it has said that it takes connections."""

    pid: int
    is_ready: bool


def spawn(layout: Layout, command: Sequence[str]) -> Child:
    """Start a server as the instance's user, in a session of its own, so that it outlives the agent.

    Its standard error is a pipe until its log is open: what makes even that fail can be read there.

    Raises:
        OSError: there is no such program, or the user may not run it.
    """
    place = layout.place
    child = subprocess.Popen(
        ["/bin/sh", "-c", _APPEND_LOG, "sh", str(layout.log_file), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd="/",
        env=dict(ENVIRONMENT),
        start_new_session=True,
        umask=0o077,
        user=place.uid,
        group=place.uid if place.gid is None else place.gid,
        extra_groups=None if place.uid is None else (),
    )
    with _children_lock:
        _children[child.pid] = child
    return child


def find(layout: Layout) -> Postmaster | None:
    """Return the instance's running postmaster, whoever started it, or None."""
    reap()
    lines = layout.read_tail(layout.data_dir / "postmaster.pid").splitlines()
    if not lines or not lines[0].strip().isdecimal():
        return None
    pid = int(lines[0])
    if not _works_in(pid, layout):
        return None
    state = lines[7].strip() if len(lines) > 7 else ""  # noqa: PLR2004 — the eighth line is the status
    return Postmaster(pid=pid, is_ready=state == _READY)


def members(layout: Layout, directory: Path | None = None) -> list[int]:
    """Return every process of the instance's server: its working directory is the data directory, or `directory`."""
    reap()
    return [
        int(each.name)
        for each in Path("/proc").iterdir()
        if each.name.isdecimal() and _works_in(int(each.name), layout, directory)
    ]


def kill_all(layout: Layout, timeout_s: float, directory: Path | None = None) -> bool:
    """Kill every process of the instance's server, or of a program that works in `directory`; say if it worked."""

    def gone() -> bool:
        for pid in members(layout, directory):
            send(pid, signal.SIGKILL, layout, directory)
        return not members(layout, directory)

    return wait_for(gone, timeout_s)


def send(pid: int, signal_number: signal.Signals, layout: Layout, directory: Path | None = None) -> None:
    """Signal a process of the server, unless it is gone by now, or its number is another's."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            # Only with the handle in hand can the number not pass to somebody else any more.
            if _works_in(pid, layout, directory):
                signal.pidfd_send_signal(handle, signal_number)
        finally:
            os.close(handle)


def reload(layout: Layout) -> None:
    """Have the server, if it runs, read its configuration files again."""
    found = find(layout)
    if found is not None:
        send(found.pid, signal.SIGHUP, layout)


def wait_for(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait until a condition holds; returns whether it did in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def reap() -> None:
    """Collect the children that ended, so that they do not stay as zombies."""
    with _children_lock:
        ended = [pid for pid, child in _children.items() if child.poll() is not None]
        for pid in ended:
            # Its pipe is the starter's to read and close.
            del _children[pid]


def close(stream: IO[bytes] | None) -> None:
    """Close a pipe, if there is one."""
    if stream is not None:
        stream.close()


def _works_in(pid: int, layout: Layout, directory: Path | None = None) -> bool:
    """Return whether a live process runs as the instance's user in its data directory, or in another one of its."""
    proc = Path("/proc") / str(pid)
    own_uid = layout.place.uid
    try:
        fields = dict(
            line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line
        )
        if fields["State"].split()[0] in "ZX":
            return False
        if int(fields["Uid"].split()[1]) != (os.geteuid() if own_uid is None else own_uid):
            return False
        return (proc / "cwd").readlink() == (directory or layout.data_dir).resolve()
    except PermissionError:
        # Root in a container may be denied this look; a uid of its own has no other processes anyway.
        return own_uid is not None
    except (OSError, ValueError):
        return False
