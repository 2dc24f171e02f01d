"""Patience with a database that is away."""

import pytest

from coffer.lifecycle.patience import Patience
from coffer.store.errors import StoreContended, StoreRefused, StoreUnavailable

AWAY = StoreUnavailable("sqlite:coffer.db", "it is busy")


class Flaky:
    """A transaction that fails `times` times."""

    def __init__(self, times: int, error: Exception = AWAY) -> None:
        self.left = times
        self.calls = 0
        self._error = error

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self._error
        return "done"


def test_what_was_refused_for_a_while_is_done_at_last() -> None:
    pauses: list[float] = []
    transaction = Flaky(6)

    assert Patience(60, pause=pauses.append).persist(transaction) == "done"
    assert transaction.calls == 7
    assert max(pauses) <= 2.0
    assert sum(pauses[3:]) > sum(pauses[:3])


def test_pauses_differ_so_that_not_everybody_comes_back_at_once() -> None:
    first: list[float] = []
    second: list[float] = []
    Patience(60, pause=first.append).persist(Flaky(5))
    Patience(60, pause=second.append).persist(Flaky(5))

    assert first != second


def test_without_patience_once_is_all() -> None:
    transaction = Flaky(1)

    with pytest.raises(StoreUnavailable):
        Patience(0).persist(transaction)
    assert transaction.calls == 1


def test_what_can_never_succeed_is_not_tried_again() -> None:
    transaction = Flaky(1, StoreRefused("sqlite:coffer.db", "IntegrityError", "x"))

    with pytest.raises(StoreRefused):
        Patience(60).persist(transaction)
    assert transaction.calls == 1


def test_patience_ends() -> None:
    with pytest.raises(StoreUnavailable):
        Patience(0.3, pause=lambda _: None).persist(Flaky(1_000_000_000))


def test_who_was_in_another_s_way_tries_again_even_without_patience_but_not_for_ever() -> None:
    contended = StoreContended("postgresql://db/coffer", "two transactions were in each other's way")
    pauses: list[float] = []

    assert Patience(0, pause=pauses.append).persist(Flaky(4, contended)) == "done"
    with pytest.raises(StoreContended):
        Patience(0, pause=pauses.append).persist(Flaky(5, contended))
    assert sum(pauses[:4]) < 2.0
