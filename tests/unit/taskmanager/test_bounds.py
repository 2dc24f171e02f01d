"""The guests' queues are bounded at once, and again now and then."""

import logging

import pytest
from tests.support.accounts import AccountBook

from coffer.taskmanager.bounds import Bounds


def test_queues_are_bounded_at_once_and_again_and_a_broker_that_is_away_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    accounts, now_s = AccountBook(), [7.0]
    chore = Bounds(accounts, interval_s=10.0, monotonic_s=lambda: now_s[0])
    for _ in range(2):
        chore.step()
    assert accounts.bounds == 1
    now_s[0], accounts.is_away = 17.0, True
    with caplog.at_level(logging.WARNING):
        chore.step()
    assert "not bounded reason=RabbitMQ's management API does not answer" in caplog.text
    now_s[0], accounts.is_away = 27.0, False
    chore.step()
    assert accounts.bounds == 2
