"""Changes of roles in a replication group: promote, eject, detach. The taskmanager does them."""

from datetime import timedelta

from coffer.api.bodies import EjectReplicaSource, PromoteToReplicaSource
from coffer.api.call import ACCEPTED, Answer, Call
from coffer.api.settling import Also, begin
from coffer.catalogue.errors import NotReplica, SourceAlive
from coffer.catalogue.states import ServiceStatus
from coffer.lifecycle import groups
from coffer.lifecycle.runs import Beginning
from coffer.store import instances
from coffer.store.instances import Instance


def promote(call: Call) -> Answer:
    """Make a replica the source of its group; the old source becomes a replica. Nothing committed is lost."""
    call.read(PromoteToReplicaSource)
    instance = call.instance()

    def hold(begun: Beginning) -> None:
        groups.hold_for_promotion(begun.tx, instance.id, begun.run.started_at)

    taskmanager = call.services.taskmanager
    with begin(call, "instance_promote", instance, change=hold) as settling:
        settling.hand_on(settling.context, lambda ctx: taskmanager.promote_instance(ctx, instance.id))
    return ACCEPTED


def eject(call: Call) -> Answer:
    """Throw a source that is dead out of its group; the replica that has received most takes its place."""
    call.read(EjectReplicaSource)
    instance = call.instance()

    def hold(begun: Beginning) -> None:
        now = begun.run.started_at
        groups.hold_for_ejection(begun.tx, instance.id, now)
        present = instances.get(begun.tx, instance.id)
        if present is not None and _lives(call, present):
            raise SourceAlive(id=instance.id)

    taskmanager = call.services.taskmanager
    with begin(call, "instance_eject", instance, change=hold) as settling:
        settling.hand_on(settling.context, lambda ctx: taskmanager.eject_instance(ctx, instance.id))
    return ACCEPTED


def detach(call: Call, instance: Instance, also: Also) -> Answer:
    """Make a replica an instance of its own; `also` is what else the call changes."""

    def change(begun: Beginning) -> None:
        present = instances.get(begun.tx, instance.id)
        if present is None or present.replica_of is None:
            raise NotReplica(id=instance.id)
        also(begun.tx, begun.run.started_at)

    taskmanager = call.services.taskmanager
    with begin(call, "instance_detach", instance, change=change) as settling:
        settling.hand_on(settling.context, lambda ctx: taskmanager.detach_instance(ctx, instance.id))
    return ACCEPTED


def _lives(call: Call, source: Instance) -> bool:
    """Say whether the source's guest has said lately that its server serves."""
    seen_at = source.service_seen_at
    if seen_at is None or source.service_status is not ServiceStatus.HEALTHY:
        return False
    fresh = timedelta(seconds=call.services.settings.heartbeat_expiry_s)
    return call.services.lifecycle.clock() - seen_at <= fresh
