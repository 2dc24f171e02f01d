"""Announces the quota event: one a project and resource, every so often.

Every taskmanager does so for itself, as it is specified: the event is a reading, and a second one does no harm.
"""

import time
from collections.abc import Callable

from coffer.catalogue.facts import QUOTA
from coffer.lifecycle.announcer import Announcement
from coffer.lifecycle.quotas import Quota, Quotas
from coffer.lifecycle.runs import Lifecycle
from coffer.store import outbox

PAGE = 250
"""Projects a transaction; each has a handful of resources."""
MOST_WAITING = 5000
"""Messages that may wait for the broker before the report does."""


class QuotaReport:
    """The report of one taskmanager: the first at its start, then one every `interval_s`."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        limits: Quotas,
        *,
        interval_s: float,
        page: int = PAGE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Report what `limits` says, a `page` of projects at a time."""
        self._lifecycle = lifecycle
        self._quotas = limits
        self._interval_s = interval_s
        self._page = page
        self._monotonic = monotonic
        self._due_s = monotonic()
        self._last_project_id: str | None = None
        """The last project of the report that is under way."""

    def step(self) -> bool:
        """Report one page of projects, if it is time; return whether there is more to do at once.

        Raises:
            StoreError: if the database does not take it; the page is reported again then.
        """
        if self._monotonic() < self._due_s:
            return False
        with self._lifecycle.database.reading() as tx:
            if outbox.holds_more_than(tx, MOST_WAITING):
                return False
            found = self._quotas.page(tx, limit=self._page, after=self._last_project_id)
        self._lifecycle.announce(
            [_announcement(project_id, quota) for project_id, rows in found.items() for quota in rows]
        )
        if len(found) == self._page:
            *_, self._last_project_id = found
            return True
        self._last_project_id = None
        self._due_s = self._monotonic() + self._interval_s
        return False


def _announcement(project_id: str, quota: Quota) -> Announcement:
    return Announcement(
        event_type=QUOTA,
        values={
            "tenant_id": project_id,
            "resource": str(quota.resource),
            "in_use": quota.in_use,
            "reserved": quota.reserved,
            "limit": quota.limit,
            "updated": quota.updated_at,
        },
        context={"project_id": project_id, "tenant": project_id},
    )
