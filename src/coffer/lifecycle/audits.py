"""Announces `trove.instance.exists`: each window once an instance, however many taskmanagers do it at the same time.

Where the audit stands is a row of the database: the window, and the last instance of it that was announced. A page of
instances and the next stand are written in one transaction, by compare-and-set. So a taskmanager that dies between two
pages, or finds another one at work, leaves neither a gap nor a double; and windows that passed while nobody ran are
announced one after the other.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta

from coffer.lifecycle import windows
from coffer.lifecycle.agreed_clock import AgreedClock
from coffer.lifecycle.announcer import Announcement
from coffer.lifecycle.exists import Transformer
from coffer.lifecycle.runs import Lifecycle
from coffer.lifecycle.windows import Life, Window
from coffer.store import audits, instances, outbox
from coffer.store.audits import Audit
from coffer.store.instances import Instance
from coffer.wire.json import JSON

LOG = logging.getLogger(__name__)

EXISTS = "trove.instance.exists"

SETTLE_S = 10.0
"""How long after its end a window waits: for transactions with a time within it that have yet to commit, and for the
clocks of other machines."""

PAGE = 1000
MOST_WAITING = 5000
"""Messages that may wait for the broker before the audit does: it has time, the tenants' events behind it have not."""


class ExistsAudit:
    """The audit as one of the taskmanagers does it."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        transformer: Transformer,
        *,
        interval_s: int,
        settle_s: float = SETTLE_S,
        page: int = PAGE,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """Announce windows of `interval_s`; a window that has begun to be announced keeps the length that it had."""
        self._lifecycle = lifecycle
        self._clock = AgreedClock(lifecycle.database, lifecycle.clock)
        self._transformer = transformer
        self._interval_s = interval_s
        self._settle = timedelta(seconds=settle_s)
        self._page = page
        self._most_waiting = most_waiting
        self._seen: Audit | None = None
        """Where the audit stood when we last knew it; whoever relies on an old one is refused by the database."""

    def step(self) -> bool:
        """Announce one page of instances, if a window is over; return whether there is more to do at once.

        Raises:
            StoreError: if the database does not take it; nothing has happened then.
        """
        seen = self._seen = self._seen or self._stand()
        window = self._window(seen)
        if self._clock() < window.end + self._settle:
            return False
        with self._lifecycle.database.reading() as tx:
            if outbox.holds_more_than(tx, self._most_waiting):
                return False
            found = instances.between(
                tx, window.begin, window.end, limit=self._page, after=seen.last_instance_id
            )
        reached = self._reached(window, found)
        told = self._announcements(window, found)
        won = self._lifecycle.announce(told, lambda tx: audits.advance(tx, seen, reached))
        # After a defeat the winner is left alone until the next round; two would only make each page twice.
        self._seen = reached if won else None
        if won and reached.last_instance_id is None:
            LOG.info("audit window announced begin=%s end=%s", window.begin, window.end)
        return won

    def _stand(self) -> Audit:
        """Return where the audit stands; the very first window is the one that is now."""
        with self._lifecycle.database.reading() as tx:
            stand = audits.get(tx, EXISTS)
        if stand is not None:
            return stand
        first = _audit(windows.containing(self._clock(), self._interval_s))
        with self._lifecycle.database.writing() as tx:
            audits.start(tx, first)
        # If somebody was faster, and his window is another, ours is refused when it is announced.
        return first

    def _window(self, seen: Audit) -> Window:
        """Return the window to announce: as it has begun to be, or else as long as windows are now."""
        if seen.last_instance_id is not None:
            return Window(seen.window_begin, seen.window_end)
        return windows.beginning(seen.window_begin, self._interval_s)

    def _reached(self, window: Window, found: Sequence[Instance]) -> Audit:
        if len(found) < self._page:
            return _audit(windows.beginning(window.end, self._interval_s))
        return _audit(window, found[-1].id)

    def _announcements(self, window: Window, found: Sequence[Instance]) -> list[Announcement]:
        told = []
        for instance in found:
            life = Life(instance.created_at, instance.launched_at, instance.deleted_at)
            period = windows.billed(window, life)
            values = self._transformer.values(instance, period) if period else None
            if values is not None:
                told.append(Announcement(event_type=EXISTS, values=values, context=_context(instance)))
        return told


def _audit(window: Window, last_instance_id: str | None = None) -> Audit:
    return Audit(EXISTS, window.begin, window.end, last_instance_id)


def _context(instance: Instance) -> dict[str, JSON]:
    """Return what Ceilometer reads from a notification's context; nobody asked for this one, so it has no request."""
    return {
        "project_id": instance.project_id,
        "tenant": instance.project_id,
        "user_id": instance.user_id,
        "user": instance.user_id,
    }
