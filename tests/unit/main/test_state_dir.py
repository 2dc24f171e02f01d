"""The directory of a standalone control plane: one at a time, reachable for servers, closed to readers."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from coffer.main.state_dir import ENDPOINT, LOCK, StateDirError, held, publish_endpoint


@pytest.fixture(autouse=True)
def same_umask() -> Iterator[None]:
    """Undo what `held` does to the process."""
    former = os.umask(0o022)
    os.umask(former)
    yield
    os.umask(former)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_directory_can_be_passed_through_and_not_listed(tmp_path: Path) -> None:
    with held(tmp_path / "a" / "b") as directory:
        assert directory == tmp_path / "a" / "b"
        assert mode(directory) == 0o711
        assert mode(directory.parent) == 0o711
        assert mode(directory / LOCK) == 0o600


def test_the_mode_of_a_directory_that_was_there_stays(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    state_dir.mkdir(mode=0o750)
    with held(state_dir):
        assert mode(state_dir) == 0o750


def test_a_second_control_plane_is_refused(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(StateDirError, match="another coffer runs on"), held(tmp_path):
        pass


def test_after_the_first_has_gone_the_next_may_come(tmp_path: Path) -> None:
    for _ in range(2):
        with held(tmp_path):
            pass


def test_a_refused_one_leaves_the_endpoint_of_the_first(tmp_path: Path) -> None:
    with held(tmp_path) as directory:
        publish_endpoint(directory, "http://127.0.0.1:1")
        with pytest.raises(StateDirError), held(tmp_path):
            pass
        assert (tmp_path / ENDPOINT).exists()


def test_a_path_that_is_a_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(StateDirError, match="cannot be used"), held(path):
        pass
    with pytest.raises(StateDirError, match="cannot be used"), held(path / "below"):
        pass


def test_scripts_find_the_endpoint_while_it_is_served(tmp_path: Path) -> None:
    with held(tmp_path) as directory:
        publish_endpoint(directory, "http://127.0.0.1:1")
        assert json.loads((directory / ENDPOINT).read_text()) == {
            "url": "http://127.0.0.1:1",
            "pid": os.getpid(),
        }
        assert [path.name for path in directory.iterdir() if path.name.startswith(".")] == []
    assert not (tmp_path / ENDPOINT).exists()
