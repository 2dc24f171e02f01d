"""Runs as the API begins them, and tasks as the taskmanager is told them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.plane import PROJECT, Plane
from tests.support.rows import new_instance

from coffer.catalogue.operations import OPERATIONS
from coffer.clouds.cloud import Server, ServerSpec
from coffer.clouds.local.cloud import LocalCloud
from coffer.clouds.local.flavors import DEFAULT_FLAVORS
from coffer.store import instances, runs
from coffer.store.runs import Run
from coffer.wire.context import TroveContext
from coffer.wire.contracts import TASKMANAGER

CALL_S = 20.0


class HookedCloud(LocalCloud):
    """The local cloud, in which something happens while a server is made."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def create(self, spec: ServerSpec) -> Server:
        server = super().create(spec)
        self.meanwhile()
        return server


def hooked(plane: Plane, root: Path) -> HookedCloud:
    return HookedCloud(root, DEFAULT_FLAVORS, plane.launcher, separate_users=False)


def begun(plane: Plane, operation: str, instance_id: str, **traits: str) -> TroveContext:
    """Begin a run as the API does, and return the context that its task gets."""
    ctx = TroveContext(project_id=PROJECT, user_id="u", overwrite=False)
    with plane.api.begin(
        ctx,
        OPERATIONS[operation],
        instance=plane.instance(instance_id),
        items=[{"instance_id": instance_id, **traits}],
    ) as beginning:
        pass
    return beginning.context


def creation(plane: Plane, instance_id: str) -> TroveContext:
    """Begin the creation of an instance as the API does, and return the context that its task gets."""
    ctx = TroveContext(project_id=PROJECT, user_id="u", overwrite=False)
    with plane.api.begin(
        ctx,
        OPERATIONS["instance_create"],
        instance_id=instance_id,
        items=[
            {
                "instance_id": instance_id,
                "name": "books",
                "flavor": "1",
                "datastore": "postgresql",
                "datastore_version": "17",
            }
        ],
    ) as beginning:
        instances.insert(beginning.tx, new_instance(id=instance_id, project_id=PROJECT))
    return beginning.context


def run_of(plane: Plane, ctx: TroveContext) -> Run:
    assert ctx.notification is not None
    with plane.database.reading() as tx:
        run = runs.get(tx, ctx.notification.run_id)
    assert run is not None
    return run


def do(plane: Plane, task: str, ctx: TroveContext, instance_id: str) -> object:
    """Have a task done and wait until it is: production casts it."""
    arguments: dict[str, Any] = {"databases": [], "users": []} if task == "create_instance" else {}
    client = TASKMANAGER.client(plane.rpc)
    return client.call(ctx, task, timeout_s=CALL_S, instance_id=instance_id, **arguments)
