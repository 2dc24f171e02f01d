"""Resets the status of an instance, so that its tenant can go on, or delete it."""

from coffer.api.bodies import ResetStatus
from coffer.api.call import ACCEPTED, Answer, Call
from coffer.catalogue.states import InstanceState
from coffer.lifecycle import resetting
from coffer.store import instances
from coffer.store.instances import Instance


def reset_status(call: Call) -> Answer:
    """Give up what is under way on an instance, and let it be deleted or used again."""
    call.read(ResetStatus)
    return reset(call, call.instance())


def reset(call: Call, instance: Instance) -> Answer:
    """Reset the status of whosever instance.

    Raises:
        DispatchFailed: nobody takes what is left of a creation away; it can be asked for again.
    """
    services = call.services
    resetting.reset(services.lifecycle, instance.id, heartbeat_expiry_s=services.settings.heartbeat_expiry_s)
    with services.database.reading() as tx:
        left = instances.get(tx, instance.id)
    if left is not None and left.launched_at is None and left.state is InstanceState.ERROR:
        # Its guest may be about to succeed: that would be a server in use that is on nobody's bill.
        services.taskmanager.abandon_instance(call.ctx, instance.id)
    return ACCEPTED
