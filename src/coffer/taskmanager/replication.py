"""Tasks of replication: changing the roles of a group, letting a replica go.

What the servers have become is written down as soon as it is so, whether or not anybody still waits for it; what comes
before is taken back when it fails. Every step may be done twice, so a run whose taskmanager died is done again by
another one, which finds by asking how far the first one came.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from coffer.catalogue.errors import CofferError, Fault, GuestFailed, NotFound, ReplicaNotFollowing
from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.clouds.cloud import Cloud
from coffer.datastores.parameters import as_texts
from coffer.lifecycle import groups
from coffer.lifecycle.runs import Ending, Lifecycle, RunNotOpenError
from coffer.store import configurations, instances, replication
from coffer.store.instances import Instance
from coffer.store.replication import Group
from coffer.taskmanager.tasks import Outcome, runs
from coffer.wire.context import TroveContext
from coffer.wire.guest_client import GuestClient

LOG = logging.getLogger(__name__)

_SOURCE = "source"
_DOWN = frozenset({ServiceStatus.SHUTDOWN, ServiceStatus.CRASHED})


class Replication:
    """Changes who follows whom."""

    lifecycle: Lifecycle
    _cloud: Cloud
    _guest: Callable[[str], GuestClient]

    @runs
    def promote_instance(self, ctx: TroveContext, *, instance_id: str) -> Outcome:
        """Let a replica take the place of its source once it has everything; the others follow it. Resumable."""
        assert ctx.notification is not None
        run_id = ctx.notification.run_id
        group = self._group(instance_id)
        if group.source.id != instance_id:
            self._take_over(ctx, group.source.id, instance_id)
            self._switch(group.source.id, instance_id)
        self._gather(ctx, instance_id, [each.id for each in self._group(instance_id).replicas])
        self.lifecycle.end(run_id, _let_go)
        return Outcome.ENDED

    @runs
    def eject_instance(self, ctx: TroveContext, *, instance_id: str) -> Outcome:
        """Let the replica that has received most take the place of a dead source. Resumable."""
        assert ctx.notification is not None
        run_id = ctx.notification.run_id
        group = self._group(instance_id)
        if group.source.id == instance_id:
            self._fence(ctx, instance_id)
            chosen = self._chosen(ctx, group)
            self._require_open(ctx)
            self._make_source(ctx, chosen, lsn=None)
            self._switch(instance_id, chosen)
            group = self._group(instance_id)
        left = [each for each in group.replicas if each.id != instance_id]
        self._gather(ctx, group.source.id, [each.id for each in left if not groups.is_left_alone(each)])
        for each in left:
            if groups.is_left_alone(each):
                self._try_to_follow(ctx, group.source.id, each.id)
        self.lifecycle.end(run_id, _let_go)
        return Outcome.ENDED

    @runs
    def detach_instance(self, ctx: TroveContext, *, instance_id: str) -> Outcome:
        """Make a replica an instance of its own, with all that it has received. Resumable."""
        assert ctx.notification is not None
        source_id = self._group(instance_id).source.id
        try:
            with ours():
                self._guest(instance_id).detach(ctx.with_ticket(None))
        except CofferError:
            if not self._is_source(ctx, instance_id):
                raise
        self._dismiss(ctx, source_id, instance_id)

        def let_go(ending: Ending) -> None:
            replication.set_source(ending.tx, instance_id, None, ending.now)

        try:
            self.lifecycle.end(ctx.notification.run_id, let_go)
        except RunNotOpenError:
            # Given up meanwhile; but done is done, and the row must not say otherwise.
            self.lifecycle.note(lambda tx, now: replication.set_source(tx, instance_id, None, now))
            raise
        return Outcome.ENDED

    def _take_over(self, ctx: TroveContext, old_id: str, new_id: str) -> None:
        """Stop the source, and make the replica one that has everything; or leave both what they were."""
        quiet = ctx.with_ticket(None)
        if self._is_source(ctx, new_id):
            return  # an attempt before this one came so far
        old, new = self._guest(old_id), self._guest(new_id)
        with ours():
            # Asked first, because a server may take minutes to stop, and that nobody listens is known sooner. One that
            # is down already was stopped by an attempt before this one; or it crashed, which its guest will say.
            is_running = old.status(quiet) == ServiceStatus.HEALTHY
            if is_running and new.replication(quiet).get("is_streaming") is not True:
                raise GuestFailed(
                    reason=f"The replica {new_id} does not get what its source {old_id} writes."
                )
        try:
            with ours():
                lsn = _place(old_id, old.demote(quiet))
            self._require_open(ctx)
            self._make_source(ctx, new_id, lsn=lsn)
        except Exception:
            self._give_back(ctx, old_id)
            raise

    def _make_source(self, ctx: TroveContext, instance_id: str, *, lsn: int | None) -> None:
        """Promote a server; an answer that does not come is asked for in another way."""
        try:
            with ours():
                self._guest(instance_id).promote(ctx.with_ticket(None), lsn)
        except CofferError:
            if not self._is_source(ctx, instance_id):
                raise

    def _give_back(self, ctx: TroveContext, source_id: str) -> None:
        """Start a source again that was stopped; the failure that led here is the one to be told."""
        quiet = ctx.with_ticket(None)
        try:
            if self._is_held_by_others(ctx, source_id):
                return
            self._guest(source_id).status(quiet)
            with self.lifecycle.database.reading() as tx:
                wanted = as_texts(configurations.wanted(tx, source_id))
            self._guest(source_id).restart(quiet, configuration=wanted)
            LOG.info("source taken back instance_id=%s", source_id)
        except CofferError as error:
            LOG.error("source not taken back instance_id=%s reason=%s", source_id, error)  # noqa: TRY400

    def _is_held_by_others(self, ctx: TroveContext, instance_id: str) -> bool:
        """Say whether our run is over and the instance in the hands of another one, or gone."""
        row = self._row(instance_id)
        is_busy = row.state not in {InstanceState.ACTIVE, InstanceState.RESTART_REQUIRED}
        return is_busy and not self._is_open(ctx)

    def _switch(self, old_id: str, new_id: str) -> None:
        self.lifecycle.note(lambda tx, now: groups.switch(tx, old_id, new_id, now))
        LOG.info("roles switched old_source=%s new_source=%s", old_id, new_id)

    def _gather(self, ctx: TroveContext, source_id: str, replica_ids: Sequence[str]) -> None:
        """Have the others follow their new source.

        Raises:
            ReplicaNotFollowing: naming those that do not; they are in ERROR.
            RunNotOpenError: nobody waits for it any more; a restart does it for each of them.
        """
        lost: list[str] = []
        for replica_id in replica_ids:
            self._require_open(ctx)
            try:
                self._follow(ctx, source_id, replica_id)
            except CofferError as error:
                LOG.warning("replica does not follow instance_id=%s reason=%s", replica_id, error)
                # At once: several that are silent could take longer than the run may.
                self._declare_lost(ctx, replica_id, error)
                lost.append(replica_id)
        if lost:
            raise ReplicaNotFollowing(source_id=source_id, replicas=", ".join(lost))

    def _declare_lost(self, ctx: TroveContext, replica_id: str, error: CofferError) -> None:
        assert ctx.notification is not None
        during = groups.HOLDING[ctx.notification.operation]
        with self.lifecycle.database.writing() as tx:
            now = self.lifecycle.clock()
            if instances.move(tx, replica_id, {during}, InstanceState.ERROR, now):
                instances.set_fault(tx, replica_id, error.code, error.message, now)

    def _follow(self, ctx: TroveContext, source_id: str, replica_id: str) -> None:
        quiet = ctx.with_ticket(None)
        with ours():
            # Asked first, because a server may take minutes to follow, and that nobody listens is known sooner.
            self._guest(replica_id).status(quiet)
            source = self._guest(source_id).admit_replica(quiet, replica_id)
            self._guest(replica_id).follow(quiet, source)

    def _try_to_follow(self, ctx: TroveContext, source_id: str, replica_id: str) -> None:
        """Have a replica follow its source if both are there; a restart of the replica tries it again."""
        try:
            self._follow(ctx, source_id, replica_id)
        except CofferError as error:
            LOG.warning("replica does not follow instance_id=%s reason=%s", replica_id, error)

    def _fence(self, ctx: TroveContext, source_id: str) -> None:
        """Stop what is left of a dead source, so that it takes no more writes, and does not come back by itself.

        One whose agent is silent may still serve: then it is ended from outside, and a new agent keeps it down.

        Raises:
            GuestFailed: an agent answers, and its server is not stopped even so.
        """
        if self._stopped_by_its_guest(ctx, source_id):
            return
        try:
            self._cloud.halt(source_id)
            self._cloud.start_guests([source_id])
        except CofferError as error:
            LOG.error("dead source not halted instance_id=%s reason=%s", source_id, error)  # noqa: TRY400
        is_stopped = self._stopped_by_its_guest(ctx, source_id)
        if is_stopped is None:
            LOG.error("dead source left behind, its agent is silent instance_id=%s", source_id)
        elif not is_stopped:
            raise GuestFailed(
                reason=f"The source {source_id} cannot be stopped: no replica takes its place while it may serve."
            )

    def _stopped_by_its_guest(self, ctx: TroveContext, source_id: str) -> bool | None:
        """Say whether the guest of a source has its server down, by its own word; None: it is silent."""
        quiet, guest = ctx.with_ticket(None), self._guest(source_id)
        try:
            guest.status(quiet)  # a server may take minutes to stop; that nobody listens is known sooner
        except CofferError as error:
            LOG.warning("dead source not asked instance_id=%s reason=%s", source_id, error)
            return None
        try:
            try:
                guest.demote(quiet)
            except GuestFailed:
                # It is down all the same if it crashed; but not if something else has its turn, and may start it.
                guest.stop(quiet)
            return guest.status(quiet) in _DOWN
        except CofferError as error:
            LOG.warning("dead source not stopped instance_id=%s reason=%s", source_id, error)
            return False

    def _chosen(self, ctx: TroveContext, group: Group) -> str:
        """Return the replica that has received most.

        Raises:
            GuestFailed: none of them answers.
        """
        best: tuple[int, str] | None = None
        for replica in group.replicas:
            if groups.is_left_alone(replica):
                continue
            try:
                found = self._guest(replica.id).replication(ctx.with_ticket(None))
            except CofferError as error:
                LOG.warning("replica is no candidate instance_id=%s reason=%s", replica.id, error)
                continue
            if found.get("role") == _SOURCE:
                return replica.id  # an attempt before this one came so far
            lsn = found.get("lsn")
            if isinstance(lsn, int) and (best is None or lsn > best[0]):
                best = lsn, replica.id
        if best is None:
            raise GuestFailed(
                reason="None of the replicas can take the place of the source: no server answers."
            )
        return best[1]

    def _is_source(self, ctx: TroveContext, instance_id: str) -> bool:
        """Say what a server says of itself; False if it says nothing."""
        try:
            return self._guest(instance_id).replication(ctx.with_ticket(None)).get("role") == _SOURCE
        except CofferError:
            return False

    def _dismiss(self, ctx: TroveContext, source_id: str, replica_id: str) -> None:
        """Have a source forget a replica; what it keeps for one that it does not forget is bounded."""
        try:
            self._guest(source_id).dismiss_replica(ctx.with_ticket(None), replica_id)
        except CofferError as error:
            LOG.warning(
                "replica not dismissed source=%s instance_id=%s reason=%s", source_id, replica_id, error
            )

    def _is_open(self, ctx: TroveContext) -> bool:
        assert ctx.notification is not None
        return self.lifecycle.is_open(ctx.notification.run_id)

    def _require_open(self, ctx: TroveContext) -> None:
        """Stop before the next step of what was given up.

        Raises:
            RunNotOpenError: the run has ended.
        """
        if not self._is_open(ctx):
            raise RunNotOpenError(f"run {ctx.notification and ctx.notification.run_id} ended meanwhile")

    def _group(self, instance_id: str) -> Group:
        with self.lifecycle.database.reading() as tx:
            group = replication.group_of(tx, instance_id)
        if group is None:
            raise NotFound(resource="Instance", id=instance_id)
        return group

    def _row(self, instance_id: str) -> Instance:
        return next(each for each in self._group(instance_id).members if each.id == instance_id)


@contextmanager
def ours() -> Iterator[None]:
    """Turn what a guest says into a failure: the tenant has done his part when the run has begun."""
    try:
        yield
    except CofferError as error:
        if error.fault is Fault.SYSTEM:
            raise
        raise GuestFailed(reason=error.message) from error


def _let_go(ending: Ending) -> None:
    groups.let_go(ending.tx, ending.run, ending.now)


def _place(instance_id: str, lsn: int) -> int:
    """Return up to where a log goes.

    Raises:
        GuestFailed: the guest has not said it; then nobody could tell when a replica has everything.
    """
    if lsn <= 0:
        raise GuestFailed(reason=f"The source {instance_id} did not say up to where its log goes.")
    return lsn
