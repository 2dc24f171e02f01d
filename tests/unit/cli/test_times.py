from datetime import UTC, datetime, timedelta

import pytest

from coffer.cli.times import parse_moment

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("10m", NOW - timedelta(minutes=10)),
        ("2h", NOW - timedelta(hours=2)),
        ("1d", NOW - timedelta(days=1)),
        (" 3w ", NOW - timedelta(weeks=3)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22T07:30:00", datetime(2026, 11, 22, 7, 30, tzinfo=UTC)),
        ("2026-11-22T07:30:00Z", datetime(2026, 11, 22, 7, 30, tzinfo=UTC)),
        ("2026-11-22T07:30:00+02:00", datetime(2026, 11, 22, 5, 30, tzinfo=UTC)),
        ("2026-11-22 07:30:00.5", datetime(2026, 11, 22, 7, 30, 0, 500000, tzinfo=UTC)),
    ],
)
def test_people_say_when(text: str, expected: datetime) -> None:
    assert parse_moment(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "10", "10 m", "-5m", "1y", "999999999w", "2026-13-01", "0001-01-01T00:00:00+10:00"],
)
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="10m, 2h, 1d, or ISO 8601"):
        parse_moment(text, NOW)
