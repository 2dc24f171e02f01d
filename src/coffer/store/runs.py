"""Runs: one execution of an operation on one item, from its start to its only ending."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime

import sqlalchemy as sa

from coffer.store.database import Tx
from coffer.store.tables import RUNS


@dataclass(frozen=True, slots=True)
class Run:
    """A row.

    `traits` and `context` are JSON texts: what the start said, and the request's context without secrets.
    `owner` is the service that began the run, `claimed_by` the one that works on it, `handed_to` the
    instance whose guest will report its end. `previous_state` is the state from which the run moved its
    instance.
    """

    run_id: str
    operation: str
    request_id: str
    project_id: str
    user_id: str | None
    traits: str
    client_ip: str
    context: str
    owner: str
    started_at: datetime
    deadline_at: datetime
    instance_id: str | None = None
    cluster_id: str | None = None
    item: str | None = None
    previous_state: str | None = None
    handed_to: str | None = None
    claimed_by: str | None = None
    claimed_at: datetime | None = None
    ended_at: datetime | None = None
    ending: str | None = None
    error_code: str | None = None
    fault: str | None = None
    message: str | None = None


_FIELDS = tuple(field.name for field in fields(Run))
_COLUMN = RUNS.c
_IS_OPEN = _COLUMN.ended_at.is_(None)
_worker = sa.func.coalesce(_COLUMN.claimed_by, _COLUMN.owner)


def insert(tx: Tx, run: Run) -> None:
    """Add `run`."""
    tx.execute(sa.insert(RUNS).inline(), {name: getattr(run, name) for name in _FIELDS})


def get(tx: Tx, run_id: str) -> Run | None:
    """Return the run, open or ended."""
    row = tx.execute(sa.select(RUNS).where(_COLUMN.run_id == run_id)).mappings().one_or_none()
    return None if row is None else Run(**row)


def claim(tx: Tx, run_id: str, service_id: str, now: datetime) -> bool:
    """Take the open run for a service; False if it is taken, handed over or ended: delivered twice."""
    free = (_COLUMN.claimed_by.is_(None), _COLUMN.handed_to.is_(None))
    return _change(tx, run_id, {"claimed_by": service_id, "claimed_at": now}, *free)


def adopt(tx: Tx, run_id: str, dead_service: str, new_owner: str) -> bool:
    """Give an orphan a living owner, claimed by nobody; False if another was first.

    Who gets True dispatches the run again. As its owner lives, it is no orphan until somebody claims it.
    """
    is_orphan = (_worker == dead_service, _COLUMN.handed_to.is_(None))
    return _change(tx, run_id, {"owner": new_owner, "claimed_by": None, "claimed_at": None}, *is_orphan)


def hand_over(tx: Tx, run_id: str, instance_id: str) -> bool:
    """Let the guest of `instance_id` report the end of the open run; False if the run has ended."""
    return _change(tx, run_id, {"handed_to": instance_id})


def set_previous_state(tx: Tx, instance_id: str, operations: Collection[str], state: str) -> bool:
    """Let the open run of one of `operations` lead its instance back to another state; False if there is none."""
    # One by one: an update that looks for them would have MariaDB wait for every open run that somebody is ending.
    found = _open(tx, _COLUMN.instance_id == instance_id, _COLUMN.operation.in_(list(operations)))
    return sum(_change(tx, run.run_id, {"previous_state": state}) for run in found) > 0


def end(
    tx: Tx,
    run_id: str,
    now: datetime,
    *,
    ending: str,
    error_code: str | None = None,
    fault: str | None = None,
    message: str | None = None,
) -> bool:
    """End the run if it is open. Of several that try at once, one gets True."""
    values = {"ended_at": now, "ending": ending, "error_code": error_code, "fault": fault, "message": message}
    return _change(tx, run_id, values)


def open_runs(tx: Tx) -> list[Run]:
    """Return every run that has not ended, the oldest deadline first."""
    return _open(tx)


def open_of_instance(tx: Tx, instance_id: str) -> list[Run]:
    """Return the open runs whose subject is an instance, the oldest deadline first."""
    return _open(tx, _COLUMN.instance_id == instance_id)


def overdue(tx: Tx, now: datetime) -> list[Run]:
    """Return the open runs whose deadline has passed."""
    return _open(tx, _COLUMN.deadline_at <= now)


def orphaned(tx: Tx, dead_services: Collection[str]) -> list[Run]:
    """Return the open runs that nobody works on any more.

    The one who works on a run is its claimer, or its owner until it is claimed. A run that was handed to a
    guest is no orphan: the guest ends it, or its deadline does.
    """
    return _open(tx, _COLUMN.handed_to.is_(None), _worker.in_(list(dead_services)))


def _change(tx: Tx, run_id: str, values: dict[str, object], *conditions: sa.ColumnElement[bool]) -> bool:
    statement = sa.update(RUNS).where(_COLUMN.run_id == run_id, _IS_OPEN, *conditions)
    return tx.execute(statement.values(values)).rowcount == 1


def _open(tx: Tx, *conditions: sa.ColumnElement[bool]) -> list[Run]:
    query = sa.select(RUNS).where(_IS_OPEN, *conditions).order_by(_COLUMN.deadline_at, _COLUMN.run_id)
    return [Run(**row) for row in tx.execute(query).mappings()]
