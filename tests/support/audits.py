"""What was announced of instances' existence, read back from the outbox, and taskmanagers whose time a test moves."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from tests.support.rows import NOON, new_instance

from coffer.catalogue.operations import ServerType
from coffer.catalogue.states import InstanceState
from coffer.lifecycle.announcer import Announcer
from coffer.lifecycle.audits import ExistsAudit
from coffer.lifecycle.emitter import Emitter
from coffer.lifecycle.exists import Exists
from coffer.lifecycle.runs import Lifecycle
from coffer.store import instances, outbox
from coffer.store.database import Database
from coffer.store.instances import Instance
from coffer.taskmanager.periodic import Chore
from coffer.wire.envelope import Notification, unseal

HOUR_S = 3600
ON_THE_HOUR = NOON.replace(microsecond=0)
SERVICE_IDS = {"postgresql": "service-of-postgresql"}
Told = tuple[str, str, str]
"""Instance, beginning and ending of a period, as they were announced."""


def at(hours: float) -> datetime:
    """Return a moment so many hours after noon."""
    return ON_THE_HOUR + timedelta(hours=hours)


def stamp(moment: datetime) -> str:
    """Return a moment as a datetime trait has it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def emitter(name: str = "1") -> Emitter:
    """Return the identity of a taskmanager."""
    return Emitter(
        server_type=ServerType.TASK, host=f"tasks-{name}", server_ip="127.0.0.1:0", service_id=name
    )


class Ledger:
    """A database with instances, the time, and everything that was announced."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = at(0)
        self.wakes = 0

    def lifecycle(self, name: str = "1", database: Database | None = None) -> Lifecycle:
        """Return what a taskmanager announces with."""
        return Lifecycle(
            database or self.database,
            Announcer(emitter(name)),
            clock=lambda: self.now,
            wake=self._wake,
            service_ids=SERVICE_IDS,
        )

    def audit(self, name: str = "1", **settings: Any) -> ExistsAudit:
        """Return the audit of a taskmanager that has just started."""
        settings = {"interval_s": HOUR_S, "settle_s": 0.0, **settings}
        lifecycle = self.lifecycle(name, settings.pop("database", None))
        transformer = settings.pop("transformer", None) or Exists(SERVICE_IDS)
        return ExistsAudit(lifecycle, transformer, **settings)

    def add(self, **fields: Any) -> Instance:
        """Add an instance that serves, unless said otherwise."""
        created_at = fields.get("created_at", at(-9))
        defaults = {
            "created_at": created_at,
            "updated_at": created_at,
            "launched_at": created_at + timedelta(minutes=1),
            "state": InstanceState.ACTIVE,
            "server_id": "server-1",
            "volume_id": "volume-1",
        }
        instance = new_instance(**{**defaults, **fields})
        with self.database.writing() as tx:
            instances.insert(tx, instance)
        return instance

    def notifications(self) -> list[Notification]:
        """Return everything that waits for the broker."""
        with self.database.reading() as tx:
            return [unseal(row.body) for row in outbox.head(tx, 1_000_000)]

    def told(self) -> Counter[Told]:
        """Return the periods that were announced, and how often."""
        return Counter(
            (
                str(each.payload["instance_id"]),
                str(each.payload["audit_period_beginning"]),
                str(each.payload["audit_period_ending"]),
            )
            for each in self.notifications()
            if each.event_type == "trove.instance.exists"
        )

    def sent(self) -> None:
        """Let the broker have everything that waits."""
        with self.database.writing() as tx:
            outbox.delete(tx, [row.id for row in outbox.head(tx, 1_000_000)])

    def _wake(self) -> None:
        self.wakes += 1


def to_the_end(chore: Chore) -> int:
    """Take steps until there is nothing more to do; return how many pages that were."""
    pages = 0
    while chore.step():
        pages += 1
    return pages


def periods(instance: Instance, *parts: tuple[datetime, datetime]) -> Counter[Told]:
    """Return what is to be told of an instance: these parts, each once."""
    return Counter((instance.id, stamp(begin), stamp(end)) for begin, end in parts)


def hours(instance: Instance, begins: Sequence[int]) -> Counter[Told]:
    """Return what is to be told of an instance that lived through whole hours."""
    return periods(instance, *((at(hour), at(hour + 1)) for hour in begins))
