"""Points in time as people type them."""

import re
from datetime import UTC, datetime, timedelta

import click

_RELATIVE = re.compile(r"(\d{1,9})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_moment(text: str, now: datetime) -> datetime:
    """Read `10m`, `2h`, `1d` (ago), or ISO 8601, which is UTC when it names no zone.

    Raises:
        ValueError: if it is neither, or lies outside the calendar.
    """
    relative = _RELATIVE.fullmatch(text.strip())
    try:
        if relative:
            return now - timedelta(seconds=int(relative[1]) * _SECONDS[relative[2]])
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is no time: give 10m, 2h, 1d, or ISO 8601 as in 2026-11-22T08:00:00Z"
        ) from error


def read_moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """Read an option that is a point in time; for `callback=` of click's options."""
    if value is None:
        return None
    try:
        return parse_moment(value, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
