"""When a volume counts as full, and when it has room again."""

from pathlib import Path

import pytest
from tests.support.instances import new_place

from coffer.datastores.postgresql.layout import Layout
from coffer.datastores.postgresql.volume import Volume

GIB = 2**30


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    """The volume of a server that does not run."""
    layout = Layout(new_place(tmp_path))
    layout.make_conf()
    return Volume(layout)


def test_it_is_full_from_95_percent_on_and_has_room_below_90(volume: Volume) -> None:
    seen = []
    for percent in (94, 95, 92, 90, 89, 94, 96):
        volume.keep(percent * GIB // 100 + 1, 1)
        seen.append(volume.is_read_only)

    assert seen == [False, True, True, True, False, False, True]


def test_whoever_comes_later_knows_that_it_was_full(volume: Volume) -> None:
    volume.keep(GIB, 1)

    successor = Volume(volume._layout)

    assert successor.is_read_only
    successor.keep(GIB, 2)
    assert not successor.is_read_only


def test_without_a_size_it_is_never_full(volume: Volume) -> None:
    volume.keep(1000 * GIB, None)

    assert not volume.is_read_only


def test_before_there_is_a_server_nothing_is_written(tmp_path: Path) -> None:
    layout = Layout(new_place(tmp_path))

    Volume(layout).keep(GIB, 1)

    assert not layout.conf_dir.exists()
    assert Volume(layout).used_bytes() == 0
