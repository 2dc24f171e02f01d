"""Which user id a new instance gets."""

import pwd
from pathlib import Path

import pytest

from coffer.catalogue.errors import CloudFailed
from coffer.clouds.local.allocation import choose_uid

UIDS = range(1_970_000_000, 1_970_000_004)


def test_ids_go_on_from_the_last_one_and_round_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "next_uid").write_text("1970000002\n")
    assert [choose_uid(UIDS, tmp_path, ()) - UIDS[0] for _ in range(6)] == [2, 3, 0, 1, 2, 3]


def test_an_id_in_use_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "next_uid").write_text("1970000000\n")
    assert choose_uid(UIDS, tmp_path, {UIDS[0], UIDS[1], UIDS[3]}) == UIDS[2]
    with pytest.raises(CloudFailed, match="no user id left"):
        choose_uid(UIDS, tmp_path, set(UIDS))


@pytest.mark.parametrize("kept", [None, "", "nonsense", "-5", "99999999999"])
def test_a_lost_count_begins_behind_the_ids_in_use(tmp_path: Path, kept: str | None) -> None:
    if kept is not None:
        (tmp_path / "next_uid").write_text(kept)
    assert choose_uid(UIDS, tmp_path, {UIDS[0]}) in UIDS[1:]


def test_without_instances_it_begins_anywhere_in_the_range(tmp_path: Path) -> None:
    uids = range(1_980_000_000, 1_990_000_000)
    first = {choose_uid(uids, _fresh(tmp_path, number), ()) for number in range(3)}
    assert len(first) == 3


def test_an_id_that_has_a_name_is_not_ours(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    (tmp_path / "next_uid").write_text(f"{nobody}\n")
    assert choose_uid(range(nobody, nobody + 2), tmp_path, ()) == nobody + 1


def _fresh(tmp_path: Path, number: int) -> Path:
    books = tmp_path / str(number)
    books.mkdir()
    return books
