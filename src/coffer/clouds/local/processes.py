"""Processes of this machine as `/proc` shows them: who they are, whose they are, and how to be rid of them.

A process is named by its id together with its start time, because ids are used again. A zombie counts as
gone: it holds no file and no port, and in a container nobody may ever collect it.
"""

import os
import re
import signal
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_GONE_STATES = frozenset("ZXx")
_POLL_S = 0.01
_RESCAN_S = 0.25
_REPEAT_S = 0.5


@dataclass(frozen=True, slots=True)
class Identity:
    """One process for good: `started` is in clock ticks since the machine's boot."""

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class _Stat:
    state: str
    parent: int
    session: int
    terminal: int
    started: int


def identify(pid: int) -> Identity | None:
    """Return who has this process id now, or None when nobody (or a zombie) does."""
    stat = _stat(pid)
    if stat is None or stat.state in _GONE_STATES:
        return None
    return Identity(pid, stat.started)


def alive(process: Identity) -> bool:
    """Say whether this very process still runs."""
    return identify(process.pid) == process


def boot_id() -> str:
    """Return what tells this boot of the machine from others; ids and start times mean nothing across it."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def of_user(uid: int) -> frozenset[Identity]:
    """Find the processes that have this user in any of their four user ids."""
    return frozenset(found for found in _others() if uid in _uids(found.pid))


def users() -> frozenset[int]:
    """Return the user ids that any process has now."""
    return frozenset(uid for found in _others() for uid in _uids(found.pid))


def about(directory: Path, *, foreign: Collection[int] = ()) -> frozenset[Identity]:
    """Find the processes that work in a directory, run a program from it or name it in their arguments.

    Never ourselves or our ancestors, not a person's shell that merely stands in the directory, and none that
    has a user id among `foreign`. Unless we are root, only those of our own user.
    """
    ours = _ourselves()
    me = os.geteuid()

    def concerns(pid: int) -> bool:
        return pid not in ours and _is_about(pid, directory) and _is_within(_uids(pid), me, foreign)

    return frozenset(found for found in _others() if concerns(found.pid))


def naming(argument: str) -> frozenset[Identity]:
    """Find the processes of our own user that have exactly this argument; not ourselves nor our ancestors."""
    ours = _ourselves()
    wanted = os.fsencode(argument)
    return frozenset(
        found
        for found in _others()
        if found.pid not in ours
        and wanted in _read(found.pid, "cmdline").split(b"\0")
        and os.geteuid() in _uids(found.pid)
    )


def send(process: Identity, number: signal.Signals) -> None:
    """Signal this very process; one that is gone already is no error.

    Raises:
        PermissionError: it is another user's, and we are not root.
    """
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        # Only now, with the handle in hand, can the id not pass to somebody else any more.
        if alive(process):
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def end(
    find: Callable[[], Collection[Identity]], *, grace_s: float, deadline_s: float
) -> frozenset[Identity]:
    """End all that `find` finds, also what is born meanwhile: asked for `grace_s`, then killed.

    Returns:
        Those that still run when `deadline_s` has passed; empty when all are gone.
    """
    began = time.monotonic()
    asked_at = -_REPEAT_S
    empty_before = False
    while True:
        left = frozenset(find())
        since_s = time.monotonic() - began
        # Twice, because a process that forks and ends while we look can hide its child from one look.
        if not left and empty_before:
            return left
        empty_before = not left
        if since_s >= deadline_s:
            return left
        if since_s >= grace_s:
            _send_all(left, signal.SIGKILL)
        elif since_s - asked_at >= _REPEAT_S:
            # A server of the Redis family can refuse the first request, so it is repeated. PostgreSQL
            # waits for its clients after SIGTERM; SIGINT after it says: fast.
            _send_all(left, signal.SIGTERM, signal.SIGINT)
            asked_at = since_s
        _wait_gone(left, min(_RESCAN_S, deadline_s - since_s))


def _send_all(processes: Collection[Identity], *numbers: signal.Signals) -> None:
    for process in processes:
        for number in numbers:
            try:
                send(process, number)
            except PermissionError:
                # It stays among those that are left, and the caller reports it.
                continue


def _wait_gone(processes: Collection[Identity], timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    while any(alive(process) for process in processes) and time.monotonic() < until:
        time.sleep(_POLL_S)


def _others() -> Iterator[Identity]:
    """Walk all processes but our own."""
    me = os.getpid()
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and int(entry.name) != me:
            found = identify(int(entry.name))
            if found is not None:
                yield found


def _ourselves() -> frozenset[int]:
    """Return the process ids of ourselves and our ancestors."""
    pids = {os.getpid()}
    pid = os.getppid()
    while pid > 0 and pid not in pids:
        pids.add(pid)
        stat = _stat(pid)
        pid = stat.parent if stat is not None else 0
    return frozenset(pids)


def _is_about(pid: int, directory: Path) -> bool:
    inside = re.compile(rb"(?:^|[\0=:,])" + re.escape(os.fsencode(directory)) + rb"(?:$|[\0/:,])")
    if inside.search(_read(pid, "cmdline")) or inside.search(_link(pid, "exe")):
        return True
    return bool(inside.search(_link(pid, "cwd"))) and not _is_shell_of_a_person(pid)


def _is_within(uids: Collection[int], me: int, foreign: Collection[int]) -> bool:
    return (me == 0 or me in uids) and not any(uid in foreign for uid in uids)


def _is_shell_of_a_person(pid: int) -> bool:
    """Say whether it leads a session on a terminal, as login shells do; servers and agents have none."""
    stat = _stat(pid)
    return stat is not None and stat.terminal != 0 and stat.session == pid


def _uids(pid: int) -> frozenset[int]:
    """Return the real, effective, saved and file system user ids; /proc/PID itself may be root's instead."""
    for line in _read(pid, "status").splitlines():
        if line.startswith(b"Uid:"):
            return frozenset(int(uid) for uid in line.split()[1:])
    return frozenset()


def _stat(pid: int) -> _Stat | None:
    # The name may hold blanks and brackets, so fields are counted behind the last bracket; see proc(5).
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    if not fields:
        return None
    return _Stat(fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[4]), int(fields[19]))


def _read(pid: int, name: str) -> bytes:
    """Read a file of a process; empty when the process is gone or hides it."""
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""


def _link(pid: int, name: str) -> bytes:
    try:
        target = os.fsencode((PROC / str(pid) / name).readlink())
    except OSError:
        return b""
    return target.removesuffix(b" (deleted)")
