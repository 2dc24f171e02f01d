"""What the tests of the lifecycle stand on: a database, a clock that obeys, and services that begin and end runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.support.rows import NOON, new_instance

from coffer.catalogue.operations import OPERATIONS, ServerType
from coffer.catalogue.states import InstanceState
from coffer.lifecycle.announcer import Announcer
from coffer.lifecycle.emitter import Emitter
from coffer.lifecycle.runs import Lifecycle
from coffer.store import instances, outbox, runs
from coffer.store.database import Database
from coffer.store.instances import Instance
from coffer.store.runs import Run
from coffer.wire.context import TroveContext
from coffer.wire.envelope import Notification, unseal

PROJECT = "project-1"


class SetClock:
    """A clock that stands until it is told to go on."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def context(project_id: str = PROJECT, **fields: Any) -> TroveContext:
    """Return the context of a tenant's call."""
    return TroveContext(
        project_id=project_id, user_id="user-1", client_ip="10.0.0.9:51234", overwrite=False, **fields
    )


@dataclass
class Ground:
    """The database and everything that the tests ask of it."""

    database: Database
    clock: SetClock = field(default_factory=SetClock)
    woken: list[datetime] = field(default_factory=list)

    def lifecycle(
        self, server_type: ServerType = ServerType.API, service_id: str | None = None, **options: Any
    ) -> Lifecycle:
        """Return the lifecycle of a service, called `<server_type>-1` unless told otherwise."""
        emitter = Emitter(server_type, "control-1", "127.0.0.1:8779", service_id or f"{server_type}-1")
        return Lifecycle(
            self.database,
            Announcer(emitter),
            clock=self.clock,
            wake=lambda: self.woken.append(self.clock()),
            **options,
        )

    def has(self, **fields: Any) -> Instance:
        """Put an instance into the database, ACTIVE unless told otherwise."""
        instance = new_instance(**{"project_id": PROJECT, "state": InstanceState.ACTIVE, **fields})
        with self.database.writing() as tx:
            instances.insert(tx, instance)
        return instance

    def begun(
        self,
        operation: str,
        instance: Instance,
        items: Sequence[Mapping[str, str | int | None]] = ({},),
        ctx: TroveContext | None = None,
    ) -> list[Run]:
        """Begin runs of an operation on an instance, committed."""
        traits = [{"instance_id": instance.id, **item} for item in items]
        lifecycle = self.lifecycle()
        with lifecycle.begin(
            ctx or context(), OPERATIONS[operation], instance=instance, items=traits
        ) as beginning:
            pass
        return beginning.runs

    def one_begun(self, operation: str, instance: Instance, **item: str) -> Run:
        (run,) = self.begun(operation, instance, [item])
        return run

    def creation(self, instance_id: str = "i-new") -> Run:
        """Begin the creation of an instance, as the API does."""
        with self.lifecycle().begin(
            context(),
            OPERATIONS["instance_create"],
            instance_id=instance_id,
            items=[{"instance_id": instance_id, "name": "shop"}],
        ) as beginning:
            instances.insert(beginning.tx, new_instance(id=instance_id, project_id=PROJECT))
        return beginning.run

    def instance(self, instance_id: str) -> Instance:
        with self.database.reading() as tx:
            found = instances.get(tx, instance_id)
        assert found is not None
        return found

    def state(self, instance: Instance) -> InstanceState:
        return self.instance(instance.id).state

    def run(self, run: Run) -> Run:
        """Return a run as it is now."""
        with self.database.reading() as tx:
            found = runs.get(tx, run.run_id)
        assert found is not None
        return found

    def open_runs(self) -> list[str]:
        with self.database.reading() as tx:
            return [run.run_id for run in runs.open_runs(tx)]

    def bodies(self) -> list[bytes]:
        """Return what waits for the broker, as it was sealed."""
        with self.database.reading() as tx:
            return [pending.body for pending in outbox.head(tx, 100_000)]

    def events(self) -> list[Notification]:
        return [unseal(body) for body in self.bodies()]

    def told(self, run: Run | None = None) -> list[str]:
        """Return the types of what was announced, of one run or of all."""
        return [
            event.event_type.removeprefix("dbaas.")
            for event in self.events()
            if run is None or event.payload.get("run_id") == run.run_id
        ]

    def payload(self, event_type: str) -> dict[str, Any]:
        """Return the payload of the only event of a type."""
        (payload,) = (event.payload for event in self.events() if event.event_type == event_type)
        return payload
