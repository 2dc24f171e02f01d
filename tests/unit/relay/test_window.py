"""Who may be under way together."""

from hypothesis import given
from hypothesis import strategies as st

from coffer.relay.window import Window
from coffer.store.outbox import Pending


def row(number: int, run_id: str | None) -> Pending:
    return Pending(id=number, run_id=run_id, severity="info", body=b"")


def test_of_each_run_one_message_may_go_and_of_no_run_all() -> None:
    window = Window()
    window.add([row(1, "a"), row(2, None), row(3, "a"), row(4, "b"), row(5, None)])
    assert [each.id for each in window.take(10)] == [1, 2, 4, 5]
    assert window.take(10) == []


def test_the_next_of_a_run_may_go_when_the_one_before_is_confirmed() -> None:
    window = Window()
    rows = [row(1, "a"), row(2, "a"), row(3, "a")]
    window.add(rows)
    for each in rows:
        assert window.take(10) == [each]
        window.landed([each], {each.id})
    assert (len(window), window.lowest) == (0, None)


def test_who_comes_after_one_that_was_not_confirmed_stays_and_is_known_to_wait() -> None:
    window = Window()
    window.add([row(1, "a"), row(2, "a")])
    window.landed(window.take(10), ())
    assert window.take(10) == []
    assert (set(window.ids), window.lowest) == ({1, 2}, 1)


@given(
    st.lists(st.sampled_from(["a", "b", "c", None]), max_size=60),
    st.lists(st.tuples(st.integers(1, 7), st.booleans()), min_size=1, max_size=80),
)
def test_nothing_overtakes_within_a_run_and_everything_goes(
    runs: list[str | None], moves: list[tuple[int, bool]]
) -> None:
    """Messages come in, go, and land two flights later, in all mixtures."""
    rows = [row(number, run_id) for number, run_id in enumerate(runs, 1)]
    coming, window, confirmed = iter(rows), Window(), list[Pending]()
    flights: list[list[Pending]] = []

    def step(size: int, *, is_landing: bool) -> None:
        window.add(each for _, each in zip(range(size), coming, strict=False))
        if flights and (is_landing or len(flights) == 2):
            landed = flights.pop(0)
            confirmed.extend(landed)
            window.landed(landed, {each.id for each in landed})
        flights.append(window.take(size))
        under_way = [each.run_id for flight in flights for each in flight if each.run_id]
        assert len(under_way) == len(set(under_way))

    for size, is_landing in moves:
        step(size, is_landing=is_landing)
    while len(confirmed) < len(rows):
        step(10, is_landing=True)
    for run_id in "abc":
        of_run = [each.id for each in confirmed if each.run_id == run_id]
        assert of_run == sorted(of_run)
