"""Services: the processes of the control plane that say that they live."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from coffer.store.database import Tx
from coffer.store.tables import SERVICES

_COLUMN = SERVICES.c


@dataclass(frozen=True, slots=True)
class Service:
    """A row; a process that starts again is another service. `kind` is `api`, `taskmanager`, `relay`...

    `trouble` is what keeps the service from its work, a sentence for the operator; None if nothing does.
    """

    id: str
    kind: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    trouble: str | None = None


def register(tx: Tx, service: Service) -> None:
    """Add the service; one with the same id is replaced."""
    remove(tx, service.id)
    tx.execute(sa.insert(SERVICES).inline(), asdict(service))


def beat(tx: Tx, service_id: str, now: datetime, trouble: str | None = None) -> bool:
    """Say that the service lives, and how; False if it was removed meanwhile, so that it must register again."""
    statement = sa.update(SERVICES).where(_COLUMN.id == service_id).values(seen_at=now, trouble=trouble)
    return tx.execute(statement).rowcount == 1


def dead(tx: Tx, now: datetime, after_s: float) -> list[Service]:
    """Return the services that have not been heard of for more than `after_s`."""
    return _services(tx, _COLUMN.seen_at < now - timedelta(seconds=after_s))


def remove(tx: Tx, service_id: str) -> bool:
    """Forget the service; False if it was unknown."""
    return tx.execute(sa.delete(SERVICES).where(_COLUMN.id == service_id)).rowcount == 1


def list_all(tx: Tx) -> list[Service]:
    """Return all services by kind, the oldest first."""
    return _services(tx)


def _services(tx: Tx, *conditions: sa.ColumnElement[bool]) -> list[Service]:
    query = sa.select(SERVICES).where(*conditions)
    rows = tx.execute(query.order_by(_COLUMN.kind, _COLUMN.started_at, _COLUMN.id)).mappings()
    return [Service(**row) for row in rows]
