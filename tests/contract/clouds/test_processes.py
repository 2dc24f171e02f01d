"""What `/proc` says of real processes."""

import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest
from tests.contract.clouds.conftest import STUBBORN, Processes, needs_root

from coffer.clouds.local import processes
from coffer.clouds.local.processes import Identity

SLEEP = ["/bin/sleep", "1000"]


def identity_of(process: subprocess.Popen[bytes]) -> Identity:
    found = processes.identify(process.pid)
    assert found is not None
    return found


def test_a_process_is_itself_and_no_other_with_its_id(started: Processes) -> None:
    mine = identity_of(started.start(SLEEP))
    assert processes.alive(mine)
    assert not processes.alive(Identity(mine.pid, mine.started - 1))


def test_a_zombie_is_gone(started: Processes) -> None:
    child = started.start(SLEEP)
    mine = identity_of(child)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not processes.alive(mine)
    assert processes.identify(child.pid) is None


def test_nobody_has_an_id_that_is_not_given() -> None:
    assert processes.identify(2**22 + 1) is None


def test_a_signal_for_a_former_owner_of_the_id_does_not_reach_the_present_one(started: Processes) -> None:
    child = started.start(SLEEP)
    mine = identity_of(child)
    processes.send(Identity(mine.pid, mine.started - 1), signal.SIGKILL)
    processes.send(Identity(2**22 + 1, 1), signal.SIGKILL)
    assert processes.alive(mine)
    processes.send(mine, signal.SIGKILL)
    assert child.wait(5) == -signal.SIGKILL


def test_names_with_brackets_and_blanks_do_not_confuse(started: Processes, scratch_dir: Path) -> None:
    program = scratch_dir / "a) S 1 (b"
    program.symlink_to("/bin/sleep")
    mine = identity_of(started.start([str(program), "1000"]))
    assert processes.alive(mine)


def test_asked_first_and_killed_only_after_the_grace(started: Processes) -> None:
    polite, stubborn = started.start(SLEEP), started.start(STUBBORN)
    wanted = [identity_of(polite), identity_of(stubborn)]
    left = processes.end(lambda: [it for it in wanted if processes.alive(it)], grace_s=0.2, deadline_s=5)
    assert not left
    assert polite.wait(0) == -signal.SIGTERM
    assert stubborn.wait(0) == -signal.SIGKILL


def test_what_survives_the_deadline_is_reported(started: Processes) -> None:
    survivor = identity_of(started.start(STUBBORN))
    assert processes.end(lambda: [survivor], grace_s=10, deadline_s=0.1) == {survivor}


@needs_root
def test_children_that_are_born_meanwhile_are_ended_too(started: Processes) -> None:
    uid = 1_960_000_001
    forking = 'trap "" TERM INT; echo ready; while :; do /bin/sleep 1000 & /bin/sleep 0.01; done'
    started.start(["/bin/sh", "-c", forking], uid=uid)
    assert not processes.end(lambda: processes.of_user(uid), grace_s=0.2, deadline_s=5)
    assert processes.of_user(uid) == frozenset()
    assert uid not in processes.users()


def test_a_directory_is_named_as_a_whole_only(started: Processes, scratch_dir: Path) -> None:
    place = scratch_dir / "i-1"
    place.mkdir()
    naming = [
        started.start([*STUBBORN, text.format(place)])
        for text in ("{}", "{}/data", "-D={}", "PATH=/bin:{}/x")
    ]
    others = [started.start([*STUBBORN, text.format(place)]) for text in ("{}0", "x{}", "{}-old/data")]
    found = processes.about(place)
    assert found == {identity_of(process) for process in naming}
    assert not found & {identity_of(process) for process in others}


def test_a_process_in_a_directory_that_was_removed_is_still_found(
    started: Processes, scratch_dir: Path
) -> None:
    place = scratch_dir / "i-1"
    place.mkdir()
    lost = started.start(SLEEP, cwd=place)
    place.rmdir()
    assert processes.about(place) == {identity_of(lost)}


def test_we_never_find_ourselves(monkeypatch: pytest.MonkeyPatch, scratch_dir: Path) -> None:
    monkeypatch.chdir(scratch_dir)
    assert processes.about(scratch_dir) == frozenset()


def test_the_shell_of_a_person_who_stands_in_the_directory_is_left_alone(scratch_dir: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(scratch_dir)
        os.execv("/bin/sh", ["sh", "-c", "echo ready; read line"])
    try:
        assert b"ready" in os.read(terminal, 100)
        assert processes.about(scratch_dir) == frozenset()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


@needs_root
def test_another_users_processes_are_found_by_any_of_their_ids(started: Processes) -> None:
    uid = 1_960_000_002
    mine = identity_of(started.start(SLEEP, uid=uid))
    assert processes.of_user(uid) == {mine}
    assert uid in processes.users()
    assert mine not in processes.naming("1000")
