"""Audit windows: the stretches of time that `trove.instance.exists` is about. Pure: no clock, no database.

Windows follow each other without gap or overlap, whatever happens to the interval meanwhile: each begins where the one
before it ended, and ends at the next multiple of the interval. Multiples are counted from 1970 in UTC, so no time zone
and no summer time moves them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """From `begin` up to, and without, `end`."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Life:
    """When an instance was asked for, first served, and was gone; None for what has not happened."""

    created_at: datetime
    launched_at: datetime | None
    deleted_at: datetime | None


def beginning(begin: datetime, interval_s: int) -> Window:
    """Return the window from `begin` to the next multiple of `interval_s` after it."""
    interval = timedelta(seconds=interval_s)
    return Window(begin=begin, end=_EPOCH + ((begin - _EPOCH) // interval + 1) * interval)


def containing(moment: datetime, interval_s: int) -> Window:
    """Return the whole window, from multiple to multiple of `interval_s`, in which `moment` lies."""
    interval = timedelta(seconds=interval_s)
    return beginning(_EPOCH + (moment - _EPOCH) // interval * interval, interval_s)


def billed(window: Window, life: Life) -> Window | None:
    """Return the part of a life that is told of in `window`; None if there is none.

    The parts of all windows together are the life from its creation to its end, each moment once. An instance is told
    of from the window on in which it was launched, and that first part begins when it was created, even if that was in
    an earlier window: then nobody knew whether it would ever serve. One that never does is never told of.
    """
    if life.launched_at is None:
        return None
    # The moments come from the clocks of several machines, which may disagree about their order.
    launched_at = max(life.launched_at, life.created_at)
    if life.deleted_at is not None:
        launched_at = max(life.created_at, min(launched_at, life.deleted_at))
    if launched_at >= window.end:
        return None
    begin = life.created_at if launched_at >= window.begin else window.begin
    end = window.end if life.deleted_at is None else min(window.end, life.deleted_at)
    return Window(begin, end) if begin < end else None
