"""Each refusal is a line in the log, but a flood of them does not fill it."""

import logging
import re

import pytest

from coffer.wire.sealed.frames import Refusal
from coffer.wire.sealed.reader import LINES_A_SECOND, LINES_AT_ONCE, Refusals


def test_a_flood_is_counted_in_full_and_logged_in_part(caplog: pytest.LogCaptureFixture) -> None:
    now_s = [0.0]
    refusals = Refusals("conductor", monotonic_s=lambda: now_s[0])
    with caplog.at_level(logging.WARNING):
        for _ in range(LINES_AT_ONCE + 500):
            refusals.note(Refusal.MALFORMED, None)
        assert len(caplog.messages) == LINES_AT_ONCE
        now_s[0] += 2 / LINES_A_SECOND
        for _ in range(10):
            refusals.note(Refusal.REPEATED, "i1")
    assert refusals.counts == {Refusal.MALFORMED: LINES_AT_ONCE + 500, Refusal.REPEATED: 10}
    assert [re.findall(r"unsaid=(\d+)", line) for line in caplog.messages[LINES_AT_ONCE:]] == [["500"], ["0"]]
