"""Hands a run whose taskmanager died to another one."""

import json
import logging
from collections.abc import Callable

from coffer.catalogue.errors import DispatchFailed
from coffer.store.runs import Run
from coffer.wire.context import Ticket, TroveContext
from coffer.wire.contracts import TaskmanagerClient

LOG = logging.getLogger(__name__)


def resumer(taskmanager: TaskmanagerClient) -> Callable[[Run], None]:
    """Return a function that casts the task of a resumable run anew.

    A cast that fails is left to the next sweep of the watchdog, or to the run's deadline.
    """

    def resume(run: Run) -> None:
        assert run.operation == "instance_delete", f"{run.operation} is resumable but has no task here"
        assert run.instance_id is not None
        try:
            taskmanager.delete_instance(context_of(run), run.instance_id)
        except DispatchFailed as error:
            LOG.warning("run not resumed yet run_id=%s reason=%s", run.run_id, error)

    return resume


def context_of(run: Run) -> TroveContext:
    """Return the context in which the run was begun, as far as it was stored, with its ticket."""
    return TroveContext.from_dict(
        json.loads(run.context or "{}"),
        notification=Ticket(run_id=run.run_id, operation=run.operation),
        client_ip=run.client_ip,
        overwrite=False,
    )
