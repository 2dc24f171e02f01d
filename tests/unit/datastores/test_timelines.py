"""Whether a server can go on where another one's log has got to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.datastores.postgresql.timelines import Position, branches, has_diverged

HISTORY = """\
1\t0/3000150\tno recovery target specified

# a comment
2\t1/5\tno recovery target specified
"""


def test_a_history_says_where_each_timeline_was_left() -> None:
    assert branches(HISTORY) == {1: 0x3000150, 2: 2**32 + 5}
    assert branches("") == {}


@pytest.mark.parametrize("text", ["1", "one\t0/3\tx", "1\tthere\tx"])
def test_what_is_no_history_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        branches(text)


@pytest.mark.parametrize(
    ("own", "is_diverged"),
    [
        (Position(3, 2**33), False),
        (Position(3, 2**33 + 1), True),
        (Position(2, 2**32 + 5), False),
        (Position(2, 2**32 + 6), True),
        (Position(1, 0x3000150), False),
        (Position(1, 0x3000151), True),
        (Position(4, 0), True),
    ],
)
def test_who_went_on_beyond_the_place_where_the_source_branched_off_has_diverged(
    own: Position, is_diverged: bool
) -> None:
    assert has_diverged(own, Position(3, 2**33), HISTORY) is is_diverged


@given(st.integers(0, 2**63), st.integers(0, 2**63))
def test_on_the_same_timeline_only_who_is_ahead_has_diverged(own_end: int, end: int) -> None:
    assert has_diverged(Position(1, own_end), Position(1, end), "") is (own_end > end)
