"""Hands a run whose taskmanager died to another one."""

import json
from collections.abc import Callable

from coffer.store.runs import Run
from coffer.wire.context import Ticket, TroveContext
from coffer.wire.contracts import TaskmanagerClient


def resumer(taskmanager: TaskmanagerClient) -> Callable[[Run], None]:
    """Return a function that casts the task of a resumable run anew, and raises DispatchFailed as the cast does."""

    def resume(run: Run) -> None:
        assert run.operation == "instance_delete", f"{run.operation} is resumable but has no task here"
        assert run.instance_id is not None
        taskmanager.delete_instance(context_of(run), run.instance_id)

    return resume


def context_of(run: Run) -> TroveContext:
    """Return the context in which the run was begun, as far as it was stored, with its ticket."""
    return TroveContext.from_dict(
        json.loads(run.context or "{}"),
        notification=Ticket(run_id=run.run_id, operation=run.operation),
        client_ip=run.client_ip,
        overwrite=False,
    )
