"""Hands a run whose taskmanager died to another one."""

import json
from collections.abc import Callable

from coffer.store.runs import Run
from coffer.wire.context import Ticket, TroveContext
from coffer.wire.taskmanager_client import TaskmanagerClient


def resumer(taskmanager: TaskmanagerClient) -> Callable[[Run], None]:
    """Return a function that casts the task of a resumable run anew, and raises DispatchFailed as the cast does."""
    plain = {
        "instance_delete": taskmanager.delete_instance,
        "instance_promote": taskmanager.promote_instance,
        "instance_eject": taskmanager.eject_instance,
        "instance_detach": taskmanager.detach_instance,
    }

    def resume(run: Run) -> None:
        ctx, traits = context_of(run), json.loads(run.traits)
        if run.operation == "backup_delete":
            taskmanager.delete_backup(ctx, traits["backup_id"])
            return
        assert run.instance_id is not None
        match run.operation:
            case "instance_resize_instance":
                taskmanager.resize_instance(ctx, run.instance_id, traits["new_flavor_id"])
            case "instance_resize_volume":
                taskmanager.resize_volume(ctx, run.instance_id, traits["new_size"])
            case _:
                assert run.operation in plain, f"{run.operation} is resumable but has no task here"
                plain[run.operation](ctx, run.instance_id)

    return resume


def context_of(run: Run) -> TroveContext:
    """Return the context in which the run was begun, as far as it was stored, with its ticket."""
    return TroveContext.from_dict(
        json.loads(run.context or "{}"),
        notification=Ticket(run_id=run.run_id, operation=run.operation),
        client_ip=run.client_ip,
        overwrite=False,
    )
