"""Tasks of instances: what takes the cloud and the guest time."""

from collections.abc import Callable, Sequence

from coffer.catalogue.errors import CloudFailed, NotFound, WrongState
from coffer.catalogue.operations import OPERATIONS
from coffer.catalogue.states import InstanceState
from coffer.clouds.cloud import Cloud, Flavor, ServerSpec
from coffer.clouds.object_store import ObjectStore
from coffer.datastores.parameters import as_texts
from coffer.lifecycle.runs import Ending, Lifecycle, RunNotOpenError
from coffer.store import configurations, instances
from coffer.store.instances import Instance
from coffer.store.runs import open_runs
from coffer.taskmanager.backups import Backups
from coffer.taskmanager.replication import Replication, ours
from coffer.taskmanager.resizing import Resizing
from coffer.taskmanager.tasks import Outcome, runs
from coffer.taskmanager.unlaunched import remove_unlaunched
from coffer.wire.context import TroveContext
from coffer.wire.guest_client import GuestClient
from coffer.wire.json import JSON

Guest = Callable[[str], GuestClient]
"""Gives the client of the guest agent of an instance id."""


class InstanceTasks(Resizing, Backups, Replication):
    """Creates, restarts, resizes and deletes instances, has them backed up, and changes who follows whom."""

    def __init__(self, lifecycle: Lifecycle, cloud: Cloud, guest: Guest, *, objects: ObjectStore) -> None:
        """Work on `cloud` and through `guest`; backups lie in `objects`."""
        self.lifecycle = lifecycle
        self._cloud = cloud
        self._guest = guest
        self._objects = objects

    @runs
    def create_instance(
        self,
        ctx: TroveContext,
        *,
        instance_id: str,
        databases: Sequence[dict[str, JSON]],
        users: Sequence[dict[str, JSON]],
    ) -> Outcome:
        """Make the server, then let the guest prepare the database server in it and end the run."""
        self._make_server(ctx, instance_id)
        wanted = self._parameters(instance_id)
        self._guest(instance_id).prepare(
            ctx, databases=list(databases), users=list(users), configuration=wanted
        )
        return Outcome.HANDED_OVER

    @runs
    def restore_instance(
        self,
        ctx: TroveContext,
        *,
        instance_id: str,
        backup_id: str,
        databases: Sequence[dict[str, JSON]],
        users: Sequence[dict[str, JSON]],
    ) -> Outcome:
        """Make the server, then let the guest restore a backup into it and end the run."""
        chain = self._chain(backup_id)
        self._make_server(ctx, instance_id)
        wanted = self._parameters(instance_id)
        self._guest(instance_id).restore(
            ctx, chain, databases=list(databases), users=list(users), configuration=wanted
        )
        return Outcome.HANDED_OVER

    @runs
    def create_replica(self, ctx: TroveContext, *, instance_id: str) -> Outcome:
        """Make the server, then let the guest fetch everything from the source, follow it, and end the run."""
        source_id = self._instance(instance_id).replica_of
        assert source_id is not None, "the API makes the row of a replica with its source"
        with ours():
            source = self._guest(source_id).admit_replica(ctx.with_ticket(None), instance_id)
        try:
            self._make_server(ctx, instance_id)
            wanted = self._parameters(instance_id)
            self._guest(instance_id).replicate(ctx, source, configuration=wanted)
        except Exception:
            self._dismiss(ctx, source_id, instance_id)
            raise
        return Outcome.HANDED_OVER

    def _make_server(self, ctx: TroveContext, instance_id: str) -> None:
        """Make the server, and let its guest end the run.

        Raises:
            RunNotOpenError: the run ended meanwhile.
        """
        assert ctx.notification is not None
        instance = self._instance(instance_id)
        server = self._cloud.create(_spec(instance, self._flavor(instance)))
        with self.lifecycle.database.writing() as tx:
            instances.update(
                tx,
                instance_id,
                self.lifecycle.clock(),
                server_id=server.server_id,
                volume_id=server.volume_id,
                host=server.address,
                port=server.port,
            )
        if not self.lifecycle.hand_over(ctx.notification.run_id, instance_id):
            self._abandon(instance_id)
            raise RunNotOpenError(f"run {ctx.notification.run_id} ended while its server was made")

    @runs
    def restart_instance(self, ctx: TroveContext, *, instance_id: str) -> Outcome:
        """Restart the database server, with what its configuration group says, and wait until it serves again.

        A replica that has lost its source, or has a new one, finds it by this.
        """
        assert ctx.notification is not None
        self._guest(instance_id).restart(ctx, configuration=self._parameters(instance_id))
        source_id = self._instance(instance_id).replica_of
        if source_id is not None:
            self._try_to_follow(ctx, source_id, instance_id)
        self.lifecycle.end(ctx.notification.run_id)
        return Outcome.ENDED

    @runs
    def delete_instance(self, ctx: TroveContext, *, instance_id: str) -> Outcome:
        """Remove everything of the instance, then say that it is gone. May be done twice."""
        assert ctx.notification is not None
        self._cloud.delete(instance_id)
        source_id = self._instance(instance_id).replica_of
        if source_id is not None:
            self._dismiss(ctx, source_id, instance_id)
        self._end_others(instance_id, but=ctx.notification.run_id)
        self.lifecycle.end(ctx.notification.run_id, self._end_bill)
        return Outcome.ENDED

    def _end_others(self, instance_id: str, *, but: str) -> None:
        """End the runs that were on their way to the guest; it is gone, so their deadline only would end them."""
        with self.lifecycle.database.reading() as tx:
            left = [run for run in open_runs(tx) if run.instance_id == instance_id and run.run_id != but]
        for run in left:
            move = OPERATIONS[run.operation].move
            allowed = ", ".join(sorted(move.allowed)) if move else ""
            error = WrongState(
                id=instance_id, state=InstanceState.DELETED, operation=run.operation, allowed=allowed
            )
            self.lifecycle.fail(run.run_id, error)

    def _end_bill(self, ending: Ending) -> None:
        """State that the instance is gone; what was never launched was never billed, so its bill has no end either."""
        assert ending.run.instance_id is not None
        gone = instances.get(ending.tx, ending.run.instance_id)
        if gone is not None and gone.launched_at is not None:
            self.lifecycle.state_fact(ending, "trove.instance.delete", gone)

    def abandon_instance(self, ctx: TroveContext, *, instance_id: str) -> None:
        """Remove what was made for an instance whose creation was given up. No run: the instance itself stays."""
        del ctx
        self._abandon(instance_id)

    def _abandon(self, instance_id: str) -> None:
        """Remove a server that nobody is billed for, and never will be: so nobody shall use it either."""
        remove_unlaunched(self.lifecycle, self._cloud, self._instance(instance_id))

    def _parameters(self, instance_id: str) -> dict[str, str]:
        """Return what the instance should run with, as its group says now."""
        with self.lifecycle.database.reading() as tx:
            return as_texts(configurations.wanted(tx, instance_id))

    def _instance(self, instance_id: str) -> Instance:
        with self.lifecycle.database.reading() as tx:
            instance = instances.get(tx, instance_id)
        if instance is None:
            raise NotFound(resource="Instance", id=instance_id)
        return instance

    def _flavor(self, instance: Instance) -> Flavor:
        for flavor in self._cloud.flavors():
            if flavor.id == instance.flavor_id:
                return flavor
        raise CloudFailed(reason=f"Flavor {instance.flavor_id} is no longer offered.")


def _spec(instance: Instance, flavor: Flavor) -> ServerSpec:
    return ServerSpec(
        instance_id=instance.id,
        name=instance.name,
        datastore=instance.datastore,
        datastore_version=instance.datastore_version,
        flavor=flavor,
        volume_gib=instance.volume_gib,
        availability_zone=instance.availability_zone,
    )
