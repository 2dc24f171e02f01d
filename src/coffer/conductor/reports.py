"""What guests report: signs of life, and how the runs that were handed to them went.

A report is answered once it is committed, and may come again: `Taken` says what became of it. A guest is believed in
this only: that it lives, and how its own open runs ended. Tenant, traits and request id come
from the stored run (G7). Whatever it says may be of any type and length.
"""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from coffer.catalogue.errors import (
    BackupDamaged,
    BadRequest,
    CofferError,
    DatabaseExists,
    GuestFailed,
    InvalidParameter,
    NotFound,
    StorageFailed,
    UserExists,
    WrongState,
)
from coffer.catalogue.states import BackupState, ServiceStatus
from coffer.catalogue.trace import MESSAGE_LIMIT, TRACE_LIMIT, bounded
from coffer.lifecycle.failures import Failure
from coffer.lifecycle.runs import Ending, Lifecycle, RunNotOpenError
from coffer.store import backups, guest_channels, instances, runs
from coffer.wire.context import Ticket, TroveContext

LOG = logging.getLogger(__name__)

MAY_SAY: Mapping[str, type[CofferError]] = {
    error.code: error
    for error in (
        *(BackupDamaged, StorageFailed),
        *(BadRequest, DatabaseExists, GuestFailed, InvalidParameter, NotFound, UserExists, WrongState),
    )
}
"""The errors that a guest may report, by code; any other one would be said in the control plane's name."""


class Taken(StrEnum):
    """What became of a report, as its guest is told; in each case there is nothing to repeat."""

    WRITTEN = "written"
    SETTLED = "settled"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Order:
    """Which of a guest's messages a word of it was."""

    key_id: int
    number: int


_ID_LENGTH = 36
_MOST_BYTES = 2**63
_CHECKSUM = re.compile(r"[0-9a-f]{64}")
_SAID_NOTHING = "The guest agent failed and gave no reason."


class Reports:
    """The conductor's endpoint."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        """End runs through `lifecycle`."""
        self._lifecycle = lifecycle

    def heartbeat(
        self,
        ctx: TroveContext,
        *,
        instance_id: str,
        status: object = None,
        sent_at: object = None,
        volume_used_bytes: object = None,
        order: Order | None = None,
    ) -> str:
        """Keep what the guest says of its server, unless a later word of it has come already.

        Later by `order` where the message had one; by the guest's own clock only where nobody is between it and us.
        """
        del ctx
        try:
            known = ServiceStatus(status)  # type: ignore[arg-type]  # a stranger's word: it raises for what it is not
            seen_at = None if order else _moment(sent_at)
        except (ValueError, TypeError, OverflowError):
            known = None
        if known is None or not _is_id(instance_id):
            LOG.warning("heartbeat refused: malformed instance_id=%.100r", instance_id)
            return Taken.REFUSED
        now = self._lifecycle.clock()
        used_bytes = _bytes(volume_used_bytes)
        with self._lifecycle.database.writing() as tx:
            if order is not None and not guest_channels.note_beat(
                tx, instance_id, order.key_id, order.number
            ):
                return Taken.SETTLED
            # No later than now: a guest whose clock is ahead would otherwise outlive itself.
            instances.heartbeat(
                tx,
                instance_id,
                known,
                min(seen_at, now) if seen_at else now,
                volume_used_bytes=used_bytes,
                is_latest=order is not None,
            )
        return Taken.WRITTEN

    def notify_end(self, ctx: TroveContext, *, instance_id: str, traits: object = None) -> str:
        """End a run well that was handed to this guest."""
        ticket = ctx.notification
        if ticket is None:
            return Taken.SETTLED
        if not _may_be_its_run(ticket, instance_id):
            return Taken.REFUSED

        def change(ending: Ending) -> None:
            self._launch(ending)
            if ending.run.operation == "backup_create":
                _complete_backup(ending, traits)

        try:
            self._lifecycle.end(ticket.run_id, change, handed_to=instance_id)
        except RunNotOpenError:
            return self._not_open(ticket, instance_id)
        except GuestFailed as failure:
            self._lifecycle.fail(ticket.run_id, failure, handed_to=instance_id)
        return Taken.WRITTEN

    def notify_exc_info(
        self,
        ctx: TroveContext,
        *,
        instance_id: str,
        etype: object = None,
        value: object = None,
        trace: object = None,
    ) -> str:
        """End a run as `.error` that was handed to this guest. Source: the specification, Internal API."""
        ticket = ctx.notification
        if ticket is None:
            return Taken.SETTLED
        if not _may_be_its_run(ticket, instance_id):
            return Taken.REFUSED
        if not self._lifecycle.fail(ticket.run_id, _failure(etype, value, trace), handed_to=instance_id):
            return self._not_open(ticket, instance_id)
        return Taken.WRITTEN

    def _not_open(self, ticket: Ticket, instance_id: str) -> str:
        """Say whether a report comes too late, or again, or from somebody whose run it never was."""
        with self._lifecycle.database.reading() as tx:
            run = runs.get(tx, ticket.run_id)
        if run is not None and run.handed_to == instance_id:
            LOG.info("report of a run that is over instance_id=%s run_id=%s", instance_id, run.run_id)
            return Taken.SETTLED
        LOG.warning(
            "report refused instance_id=%s run_id=%s: not a run of this guest", instance_id, ticket.run_id
        )
        return Taken.REFUSED

    def _launch(self, ending: Ending) -> None:
        """When the run made the instance, the bill begins in the same transaction."""
        if ending.run.operation != "instance_create":
            return
        assert ending.run.instance_id is not None
        instances.update(ending.tx, ending.run.instance_id, ending.now, launched_at=ending.now)
        launched = instances.get(ending.tx, ending.run.instance_id)
        assert launched is not None, "a run of a creation and its instance are written in one transaction"
        self._lifecycle.state_fact(ending, "trove.instance.create", launched)


def _complete_backup(ending: Ending, said: object) -> None:
    """Keep what only the guest knows of the backup of this very run, in the transaction of its ending.

    Raises:
        GuestFailed: it said something else; then nobody could verify the backup.
    """
    known = said if isinstance(said, dict) else {}
    size_bytes, checksum = _bytes(known.get("size_bytes")), known.get("checksum")
    if size_bytes is None or not isinstance(checksum, str) or not _CHECKSUM.fullmatch(checksum):
        raise GuestFailed(reason="The guest agent did not say what it has stored.")
    kept = {"size_bytes": size_bytes, "checksum": checksum}
    backup_id = json.loads(ending.run.traits)["backup_id"]
    building = {BackupState.BUILDING}
    if not backups.move(ending.tx, backup_id, building, BackupState.COMPLETED, ending.now, **kept):
        raise GuestFailed(reason="The backup was given up before it was complete.")


def _may_be_its_run(ticket: Ticket, instance_id: object) -> bool:
    """Refuse what cannot be an id. Above all None, which for the lifecycle means: no guest, anybody's run."""
    if _is_id(instance_id) and _is_id(ticket.run_id):
        return True
    LOG.warning("report refused: malformed instance_id=%.100r run_id=%.100r", instance_id, ticket.run_id)
    return False


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _ID_LENGTH and value.isascii() and value.isprintable()


def _failure(etype: object, value: object, trace: object) -> Failure:
    """Make of a guest's words what may be published: an error that it may report, bounded and masked text."""
    kind = etype if isinstance(etype, str) else type(etype).__name__
    error = MAY_SAY.get(kind, GuestFailed)
    message = value.get("message") if isinstance(value, dict) else None
    return Failure(
        code=error.code,
        fault=error.fault,
        message=bounded(message if isinstance(message, str) and message else _SAID_NOTHING, MESSAGE_LIMIT),
        exception=bounded(f"{kind[:100]}: {trace if isinstance(trace, str) else ''}", TRACE_LIMIT),
    )


def _bytes(value: object) -> int | None:
    """Return a number of bytes that a database can hold, None for everything else."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < _MOST_BYTES else None


def _moment(text: object) -> datetime:
    moment = datetime.fromisoformat(text)  # type: ignore[arg-type]  # as above
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC)
