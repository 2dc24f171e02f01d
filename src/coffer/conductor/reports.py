"""What guests report: signs of life, and how the runs that were handed to them went.

A guest is believed in this only: that it lives, and how its own open runs ended. Tenant, traits and request id come
from the stored run (G7).
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from coffer.catalogue.errors import ERRORS, CofferError, Fault
from coffer.catalogue.states import ServiceStatus
from coffer.lifecycle.runs import Ending, Failure, Lifecycle, RunNotOpenError
from coffer.lifecycle.trace import MESSAGE_LIMIT, TRACE_LIMIT, bounded
from coffer.store import instances
from coffer.wire.context import TroveContext
from coffer.wire.json import JSON

LOG = logging.getLogger(__name__)


class Reports:
    """The conductor's endpoint."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        """End runs through `lifecycle`."""
        self._lifecycle = lifecycle

    def heartbeat(self, ctx: TroveContext, *, instance_id: str, status: str, sent_at: str) -> None:
        """Keep what the guest says of its server, unless a later word of it has come already."""
        del ctx
        try:
            known, seen_at = ServiceStatus(status), _moment(sent_at)
        except ValueError:
            LOG.warning("heartbeat refused: malformed instance_id=%r", instance_id)
            return
        with self._lifecycle.database.writing() as tx:
            instances.heartbeat(tx, instance_id, known, seen_at)

    def notify_end(self, ctx: TroveContext, *, instance_id: str, traits: Mapping[str, JSON]) -> None:
        """End a run well that was handed to this guest."""
        del (
            traits
        )  # No end trait of an operation is known to the guest alone; what the run needs, it has stored.
        if ctx.notification is None:
            return
        try:
            with self._lifecycle.ending(ctx.notification.run_id, handed_to=instance_id) as ending:
                self._launch(ending, instance_id)
        except RunNotOpenError as refusal:
            LOG.warning("report refused instance_id=%r reason=%s", instance_id, refusal)

    def notify_exc_info(
        self, ctx: TroveContext, *, instance_id: str, etype: str, value: Mapping[str, JSON], trace: str
    ) -> None:
        """End a run as `.error` that was handed to this guest. Source: the specification, Internal API."""
        if ctx.notification is None:
            return
        failure = _failure(etype, value, trace)
        if not self._lifecycle.fail(ctx.notification.run_id, failure, handed_to=instance_id):
            LOG.warning(
                "report refused instance_id=%r run_id=%r: not an open run of this guest",
                instance_id,
                ctx.notification.run_id,
            )

    def _launch(self, ending: Ending, instance_id: str) -> None:
        """When the run made the instance, the bill begins in the same transaction."""
        if ending.run.operation != "instance_create":
            return
        ending.traits["instance_id"] = instance_id
        instances.update(ending.tx, instance_id, ending.now, state="ACTIVE", launched_at=ending.now)
        launched = instances.get(ending.tx, instance_id)
        assert launched is not None
        self._lifecycle.state_fact(ending, "trove.instance.create", launched)


def _failure(etype: str, value: Mapping[str, JSON], trace: str) -> Failure:
    """Make of a guest's words what may be published: a known code, bounded and masked text."""
    error = ERRORS.get(etype, CofferError)
    message = str(value.get("message") or CofferError.template)
    known = etype in ERRORS
    return Failure(
        code=error.code,
        fault=error.fault if known else Fault.SYSTEM,
        message=bounded(message, MESSAGE_LIMIT),
        exception=bounded(f"{etype[:100]}: {trace}", TRACE_LIMIT),
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC)
