"""Which numbers were seen: against a model that remembers all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.wire.sealed.window import SIZE, Window

NUMBERS = st.one_of(
    st.integers(min_value=1, max_value=40),
    st.integers(min_value=SIZE - 3, max_value=SIZE + 3),
    st.integers(min_value=1, max_value=3 * SIZE),
)


@given(st.lists(NUMBERS, max_size=60))
def test_a_number_is_accepted_once_and_only_while_it_is_within_reach(numbers: list[int]) -> None:
    window, accepted = Window(), set[int]()
    for number in numbers:
        highest = max(accepted, default=0)
        expected = number not in accepted and number > highest - SIZE
        later = window.accept(number)
        assert (later is not None) == expected
        if later is not None:
            accepted.add(number)
            window = later
        assert window.highest == max(accepted, default=0)


@given(st.lists(NUMBERS, min_size=1, max_size=60))
def test_a_window_that_was_kept_is_the_same(numbers: list[int]) -> None:
    window = Window()
    for number in numbers:
        window = window.accept(number) or window
    kept = window.to_text()
    assert len(kept) <= SIZE // 4
    assert Window.from_text(window.highest, kept) == window


def test_a_number_however_great_costs_no_memory() -> None:
    window = Window(5, 0b11111).accept(2**62)
    assert window == Window(2**62, 1)


@pytest.mark.parametrize("number", [0, -1, -(2**62)])
def test_what_is_no_number_is_refused(number: int) -> None:
    assert Window().accept(number) is None


@pytest.mark.parametrize(("highest", "seen"), [(0, "x"), (-1, "1"), (1, "-1"), (1, "1" + SIZE // 4 * "0")])
def test_what_is_no_window_cannot_be_read(highest: int, seen: str) -> None:
    with pytest.raises(ValueError):
        Window.from_text(highest, seen)
