"""What a data directory says of itself."""

import pytest

from coffer.catalogue.errors import GuestFailed
from coffer.datastores.postgresql.controldata import lsn_number, parse

TEXT = """\
pg_control version number:            1700
Database system identifier:           7711076104861238947
Database cluster state:               {state}
pg_control last modified:             Sun Nov 22 19:13:33 2026
Latest checkpoint location:           1/16C3B18
Latest checkpoint's REDO location:    0/16C3B18
Latest checkpoint's TimeLineID:       3
max_connections setting:              20
max_worker_processes setting:         8
max_wal_senders setting:              16
max_prepared_xacts setting:           0
max_locks_per_xact setting:           64
"""


def test_what_it_says_is_read() -> None:
    found = parse(TEXT.format(state="in production"))
    assert found.system_id == 7711076104861238947
    assert found.checkpoint == 2**32 + 0x16C3B18
    assert found.timeline == 3
    assert found.limits == {
        "max_connections": 20,
        "max_worker_processes": 8,
        "max_wal_senders": 16,
        "max_prepared_transactions": 0,
        "max_locks_per_transaction": 64,
    }


@pytest.mark.parametrize(
    ("state", "is_clean", "is_in_recovery"),
    [
        ("shut down", True, False),
        ("shut down in recovery", False, True),
        ("in archive recovery", False, True),
        ("in production", False, False),
        ("shutting down", False, False),
    ],
)
def test_only_a_source_that_was_shut_down_ended_cleanly(
    state: str, is_clean: bool, is_in_recovery: bool
) -> None:
    found = parse(TEXT.format(state=state))
    assert (found.ended_cleanly, found.is_in_recovery) == (is_clean, is_in_recovery)


@pytest.mark.parametrize(
    "text", ["", "rubbish", TEXT.replace("1/16C3B18", "nowhere"), TEXT.replace("20", "x")]
)
def test_what_is_nothing_of_the_kind_is_refused(text: str) -> None:
    with pytest.raises(GuestFailed, match="does not say how it is"):
        parse(text)


def test_a_place_in_the_log_is_a_number() -> None:
    assert lsn_number("0/0") == 0
    assert lsn_number("16/B374D848") == 0x16B374D848
    with pytest.raises(ValueError, match="no place"):
        lsn_number("16B374D848")
