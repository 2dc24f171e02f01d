"""Whether a control plane is well: a pure judgement of what its database says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from coffer.cli.output import span
from coffer.store.outbox import Backlog
from coffer.store.runs import Run
from coffer.store.services import Service

SILENT_AFTER_S = 30.0
"""A service that did not say for so long that it lives is counted as dead."""
OVERDUE_GRACE_S = 30.0
"""The watchdog gets so long after a deadline to end the run."""
STUCK_AFTER_S = 60.0
"""Events that wait longer for the broker are worth a look."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What the database says at `now`."""

    now: datetime
    services: Sequence[Service]
    backlog: Backlog
    open_runs: Sequence[Run]
    relay_holder: str | None
    """Who holds the relay's lease; None if nobody does."""

    def is_alive(self, service: Service) -> bool:
        """True if the service has spoken lately."""
        return self.age_s(service.seen_at) <= SILENT_AFTER_S

    def is_overdue(self, run: Run) -> bool:
        """True if the run should have been ended by now, whatever happened to it."""
        return self.now > run.deadline_at + timedelta(seconds=OVERDUE_GRACE_S)

    def age_s(self, moment: datetime) -> float:
        """Seconds since `moment`; not negative, for clocks differ."""
        return max(0.0, (self.now - moment).total_seconds())

    @property
    def oldest_waiting_s(self) -> float | None:
        """How long the oldest event has been waiting for the broker; None if none waits."""
        oldest = self.backlog.oldest_created_at
        return None if oldest is None else self.age_s(oldest)

    def problems(self) -> list[str]:
        """What is wrong, a sentence each; empty if all is well."""
        found = []
        if not self.services:
            found.append("No service is running.")
        found += [
            f"Service {service.kind} {service.id} has been silent for {span(self.age_s(service.seen_at))}."
            for service in self.services
            if not self.is_alive(service)
        ]
        found += [
            f"Service {service.kind} {service.id} says: {service.trouble}"
            for service in self.services
            if service.trouble is not None and self.is_alive(service)
        ]
        if self.relay_holder is None:
            found.append("No relay is alive: events stay in the outbox.")
        waiting_s = self.oldest_waiting_s
        if waiting_s is not None and waiting_s > STUCK_AFTER_S:
            found.append(f"Events have been waiting for the broker for {span(waiting_s)}.")
        overdue = sum(self.is_overdue(run) for run in self.open_runs)
        if overdue:
            found.append(f"{overdue} open run(s) are past their deadline: no watchdog is at work.")
        return found
