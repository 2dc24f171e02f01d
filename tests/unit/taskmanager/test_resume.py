"""A run whose taskmanager died goes to another one with what its start said, and nothing else."""

import json
from typing import Any

import pytest
from tests.support.rows import new_run

from coffer.catalogue.operations import OPERATIONS
from coffer.store.runs import Run
from coffer.taskmanager.resume import resumer
from coffer.wire.context import TroveContext

RESUMABLE = [name for name, operation in OPERATIONS.items() if operation.resumable]
TRAITS = {"instance_id": "i-1", "backup_id": "b-1", "new_flavor_id": "2", "new_size": 5}


class Tasks:
    """Takes every task that a taskmanager can be handed."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str | None, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        def take(ctx: TroveContext, *args: Any) -> None:
            self.taken.append((name, ctx.notification and ctx.notification.run_id, args))

        return take


def run_of(operation: str) -> Run:
    return new_run(operation=operation, instance_id="i-1", traits=json.dumps(TRAITS))


def resumed(run: Run) -> tuple[str, str | None, tuple[Any, ...]]:
    tasks = Tasks()
    resumer(tasks)(run)  # type: ignore[arg-type] # it takes what the real one takes
    (taken,) = tasks.taken
    return taken


@pytest.mark.parametrize("operation", RESUMABLE)
def test_every_resumable_operation_has_a_task(operation: str) -> None:
    run = run_of(operation)

    _, run_id, args = resumed(run)

    assert run_id == run.run_id
    assert args[0] in {"i-1", "b-1"}


def test_a_resize_is_resumed_with_the_size_that_was_asked_for() -> None:
    assert resumed(run_of("instance_resize_instance"))[::2] == ("resize_instance", ("i-1", "2"))
    assert resumed(run_of("instance_resize_volume"))[::2] == ("resize_volume", ("i-1", 5))
