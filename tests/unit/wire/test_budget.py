"""One sender's flood is its own loss."""

from coffer.wire.sealed.budget import Budget


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_after_a_burst_a_sender_goes_at_its_rate() -> None:
    clock = Clock()
    budget = Budget(per_s=2, at_once=3, clock=clock)
    assert [budget.allows("a") for _ in range(5)] == [True, True, True, False, False]
    clock.now_s = 0.5
    assert [budget.allows("a") for _ in range(2)] == [True, False]
    clock.now_s = 1000
    assert [budget.allows("a") for _ in range(4)] == [True, True, True, False]


def test_a_flood_of_one_takes_nothing_from_another() -> None:
    budget = Budget(per_s=1, at_once=1, clock=Clock())
    assert [budget.allows("loud") for _ in range(1000)].count(True) == 1
    assert budget.allows("quiet")


def test_who_has_been_silent_for_long_is_forgotten_and_has_everything_again() -> None:
    clock = Clock()
    budget = Budget(per_s=1, at_once=1, clock=clock)
    for number in range(10_000):
        assert budget.allows(str(number))
    clock.now_s = 5
    assert budget.allows("one more")
    assert len(budget._left) == 1
    assert budget.allows("0")
