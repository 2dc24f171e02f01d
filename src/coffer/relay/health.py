"""What the relay has done and how it fares: counters, a log line when trouble begins and one when it ends."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

LOG = logging.getLogger(__name__)


class Role(StrEnum):
    """Whether this relay is the one that publishes."""

    ACTIVE = "active"
    STANDBY = "standby"


class Part(StrEnum):
    """What the relay stands between."""

    BROKER = "broker"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Outage:
    """A part that does not do its work now."""

    part: Part
    since: datetime
    first_error: str


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """A snapshot. The counters run since the start of the process."""

    role: Role
    role_since: datetime
    outages: tuple[Outage, ...]
    """Empty when all is well."""
    last_error: str | None
    published: int
    """Messages confirmed by the broker."""
    refused: int
    """Times that the broker returned a message as unroutable, or did not acknowledge it."""
    set_aside: int
    """Messages that wait now because they, or one before them in their run, were refused."""


class Health:
    """Keeps a `RelayStatus` up to date; written by the relay's thread, read by any."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._is_refusing = False
        now = clock()
        self._status = RelayStatus(
            role=Role.STANDBY,
            role_since=now,
            outages=(),
            last_error=None,
            published=0,
            refused=0,
            set_aside=0,
        )

    def status(self) -> RelayStatus:
        """The present state."""
        with self._lock:
            return self._status

    def trouble(self) -> str | None:
        """Say in a sentence what is wrong now; None if nothing is."""
        status = self.status()
        for outage in status.outages:
            what = "notifications" if outage.part is Part.BROKER else "events"
            return (
                f"the {outage.part} of {what}, since {outage.since:%Y-%m-%dT%H:%M:%SZ}: {outage.first_error}"
            )
        if status.set_aside:
            return f"the broker of notifications refuses messages, {status.set_aside} wait"
        return None

    def acts_as(self, role: Role) -> None:
        """Note the role; a change is logged."""
        with self._lock:
            if role == self._status.role:
                return
            self._status = replace(self._status, role=role, role_since=self._clock())
        LOG.info("relay is %s", role)

    def counts(self, *, confirmed: int, refused: int, set_aside: int) -> None:
        """Note what became of a batch."""
        with self._lock:
            before = self._status
            self._status = replace(
                before,
                published=before.published + confirmed,
                refused=before.refused + refused,
                set_aside=set_aside,
            )
            begins = bool(refused) and not self._is_refusing
            ends = self._is_refusing and not set_aside
            self._is_refusing = (self._is_refusing or begins) and not ends
        if begins:
            LOG.error(
                "the broker refuses messages (unroutable, or not acknowledged); they stay in the outbox and "
                "are tried again, others go on: is the queue of their severity there, with room? refused=%d",
                refused,
            )
        elif ends:
            LOG.warning("the broker has taken all messages that it had refused")

    def ails(self, part: Part) -> bool:
        """True during an outage of `part`."""
        return any(outage.part is part for outage in self.status().outages)

    def fails(self, part: Part, error: BaseException, *, unexpected: bool) -> None:
        """Note a failed attempt; the first of an outage is logged, with a traceback if unexpected."""
        said = f"{type(error).__name__}: {error}"
        begins = not self.ails(part)
        with self._lock:
            new = (Outage(part, self._clock(), said),) if begins else ()
            self._status = replace(
                self._status, outages=self._status.outages + new, last_error=f"{part}: {said}"
            )
        if begins:
            LOG.error(
                "%s outage begins, events wait in the outbox: %s",
                part,
                said,
                exc_info=error if unexpected else None,
            )

    def works(self, part: Part) -> None:
        """Note an attempt that went through."""
        ended = next((outage for outage in self.status().outages if outage.part is part), None)
        if ended is None:
            return
        with self._lock:
            remaining = tuple(outage for outage in self._status.outages if outage.part is not part)
            self._status = replace(self._status, outages=remaining)
        LOG.warning("%s outage is over after %.1f s", part, (self._clock() - ended.since).total_seconds())
