"""Audit windows: no gap, no overlap, whatever the interval, the clocks and the lives of instances are."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.lifecycle.windows import Life, Window, beginning, billed, containing

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
HOUR_S = 3600

CENTURY_S = 100 * 365 * 24 * HOUR_S
moments = st.integers(-CENTURY_S * 1000, CENTURY_S * 1000).map(lambda ms: NOON + timedelta(milliseconds=ms))
near_moments = st.integers(-4 * HOUR_S, 4 * HOUR_S).map(lambda seconds: NOON + timedelta(seconds=seconds))
intervals = st.integers(1, 400 * 24 * HOUR_S)


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


@given(moment=moments, interval_s=intervals)
def test_a_moment_lies_in_one_aligned_window_of_the_interval(moment: datetime, interval_s: int) -> None:
    window = containing(moment, interval_s)
    assert window.begin <= moment < window.end
    assert window.end - window.begin == timedelta(seconds=interval_s)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert (window.begin - epoch) % timedelta(seconds=interval_s) == timedelta(0)
    assert containing(window.end, interval_s).begin == window.end


@given(moment=moments, interval_s=intervals)
def test_a_window_that_begins_anywhere_ends_where_the_aligned_one_does(
    moment: datetime, interval_s: int
) -> None:
    assert beginning(moment, interval_s) == Window(moment, containing(moment, interval_s).end)


@given(moment=moments, changing_s=st.lists(intervals, min_size=1, max_size=20))
def test_windows_follow_each_other_however_often_the_interval_changes(
    moment: datetime, changing_s: list[int]
) -> None:
    chain = [containing(moment, changing_s[0])]
    for interval_s in changing_s:
        chain.append(beginning(chain[-1].end, interval_s))
    for before, window in itertools.pairwise(chain):
        assert window.begin == before.end
        assert window.begin < window.end


def test_the_nights_of_summer_time_have_windows_like_all_others() -> None:
    for night in (datetime(2026, 3, 29, 0, tzinfo=UTC), datetime(2026, 10, 25, 0, tzinfo=UTC)):
        window = containing(night, HOUR_S)
        for hour in range(6):
            assert window.begin == night + timedelta(hours=hour)
            window = beginning(window.end, HOUR_S)


lives = st.builds(
    Life,
    created_at=near_moments,
    launched_at=near_moments,
    deleted_at=st.none() | near_moments,
)
"""Made by three machines whose clocks do not agree: a life may be launched before it was created."""


def all_billed(life: Life, changing_s: Sequence[int]) -> list[Window]:
    """The parts of a life in all windows from before it to after it."""
    window = containing(NOON - timedelta(hours=8), HOUR_S)
    parts = []
    lengths_s = itertools.cycle(changing_s)
    while window.begin < NOON + timedelta(hours=8):
        parts.append(billed(window, life))
        window = beginning(window.end, next(lengths_s))
    return [part for part in parts if part is not None]


@given(life=lives, changing_s=st.lists(st.integers(60, 5 * HOUR_S), min_size=1, max_size=4))
def test_the_parts_of_a_life_are_all_of_it_and_nothing_twice(life: Life, changing_s: list[int]) -> None:
    parts = all_billed(life, changing_s)
    if life.deleted_at is not None and life.deleted_at <= life.created_at:
        assert parts == []
        return
    assert parts[0].begin == life.created_at
    for before, part in itertools.pairwise(parts):
        assert before.end == part.begin
    if life.deleted_at is not None:
        assert parts[-1].end == life.deleted_at


@given(created_at=near_moments, deleted_at=st.none() | near_moments)
def test_what_never_served_is_never_billed(created_at: datetime, deleted_at: datetime | None) -> None:
    assert all_billed(Life(created_at, None, deleted_at), [HOUR_S]) == []


WINDOW = Window(at(0), at(1))


@pytest.mark.parametrize(
    ("life", "part"),
    [
        pytest.param(Life(at(-9), at(-9), None), WINDOW, id="there all the time"),
        pytest.param(Life(at(0.2), at(0.25), None), Window(at(0.2), at(1)), id="created inside"),
        pytest.param(Life(at(-9), at(-8), at(0.5)), Window(at(0), at(0.5)), id="deleted inside"),
        pytest.param(Life(at(0.2), at(0.3), at(0.4)), Window(at(0.2), at(0.4)), id="all of it inside"),
        pytest.param(Life(at(-9), at(-8), at(2)), WINDOW, id="deleted later"),
        pytest.param(Life(at(-9), at(-8), at(0)), None, id="gone when it begins"),
        pytest.param(Life(at(1), at(1), None), None, id="created when it ends"),
        pytest.param(Life(at(0.9), at(1.1), None), None, id="launched later"),
        pytest.param(
            Life(at(-0.1), at(0.1), None), Window(at(-0.1), at(1)), id="created before, launched inside"
        ),
        pytest.param(Life(at(0.1), None, None), None, id="never launched"),
    ],
)
def test_an_instance_is_billed_for_the_part_of_the_window_that_it_lived(
    life: Life, part: Window | None
) -> None:
    assert billed(WINDOW, life) == part
