"""An answer is believed from the one who was asked, once, and while somebody waits."""

import pytest

from coffer.wire.delivery import NoReplyError, NotDeliveredError
from coffer.wire.sealed.pending import Pending


def test_who_was_asked_answers() -> None:
    pending = Pending()
    with pending.asking("i1") as wait:
        assert pending.settle("i1", wait.id, {"result": 1}) is True
        assert wait.result(0) == {"result": 1}


def test_nobody_answers_for_another() -> None:
    pending = Pending()
    with pending.asking("i1") as wait:
        assert pending.settle("i2", wait.id, {"result": "forged"}) is False
        with pytest.raises(NoReplyError):
            wait.result(0)


def test_the_first_answer_counts() -> None:
    pending = Pending()
    with pending.asking("i1") as wait:
        pending.settle("i1", wait.id, {"result": 1})
        assert pending.settle("i1", wait.id, {"result": 2}) is None
        assert wait.result(0) == {"result": 1}


def test_an_answer_that_nobody_waits_for_any_more_is_nobodys() -> None:
    pending = Pending()
    with pending.asking("i1") as wait:
        pass
    assert pending.settle("i1", wait.id, {"result": 1}) is None
    assert pending.settle("i1", "0" * 32, {"result": 1}) is None


def test_one_that_answers_nobody_does_not_keep_everybody() -> None:
    pending = Pending()
    with pending.asking("i1", most=2) as first, pending.asking("i1", most=2):
        with pytest.raises(NotDeliveredError), pending.asking("i1", most=2):
            pass
        with pending.asking("i2", most=2), pending.asking("i1"):
            pass
        assert pending.settle("i1", first.id, {}) is True
        with pending.asking("i1", most=2):
            pass
