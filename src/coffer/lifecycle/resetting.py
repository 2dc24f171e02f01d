"""Lets a tenant out of a state that his instance does not leave by itself. No operation of the specification.

What is under way ends as `.error` and stops counting; whoever still works on it finds its run ended.
"""

import logging
from datetime import datetime, timedelta

from coffer.catalogue.errors import Reset
from coffer.catalogue.states import USABLE, InstanceState, ServiceStatus
from coffer.lifecycle import groups
from coffer.lifecycle.runs import Lifecycle
from coffer.store import instances, runs
from coffer.store.instances import Instance

LOG = logging.getLogger(__name__)

_STAYING = USABLE | {InstanceState.DELETED}


def reset(lifecycle: Lifecycle, instance_id: str, *, heartbeat_expiry_s: float) -> int:
    """End every open run that holds an instance, and bring it into a state in which it can be deleted.

    Returns how many runs were ended. May be repeated: each step is whole.
    """
    with lifecycle.database.reading() as tx:
        found = runs.open_of_instance(tx, instance_id) + groups.runs_holding(tx, instance_id)
    ended = sum(lifecycle.fail(run.run_id, Reset(operation=run.operation)) for run in found)
    _settle(lifecycle, instance_id, heartbeat_expiry_s)
    LOG.info("status reset instance_id=%s ended_runs=%d", instance_id, ended)
    return ended


def state_after(instance: Instance, now: datetime, heartbeat_expiry_s: float) -> InstanceState:
    """Return the state that an instance has by right if nothing is under way. Pure.

    One that works stays as it is. Any other works again if its guest has said so since it failed, and lately;
    but what was never launched is on nobody's bill, and so can only be deleted. What its configuration group says
    it may have missed: a restart makes up for that.
    """
    if instance.state in _STAYING:
        return instance.state
    seen_at = instance.service_seen_at
    if instance.launched_at is None or seen_at is None:
        return InstanceState.ERROR
    is_lately = now - seen_at <= timedelta(seconds=heartbeat_expiry_s)
    is_since = seen_at > (instance.fault_at or instance.updated_at)
    is_healthy = instance.service_status is ServiceStatus.HEALTHY
    if not (is_healthy and is_lately and is_since):
        return InstanceState.ERROR
    return InstanceState.RESTART_REQUIRED if instance.configuration_id else InstanceState.ACTIVE


def _settle(lifecycle: Lifecycle, instance_id: str, heartbeat_expiry_s: float) -> None:
    with lifecycle.database.writing() as tx:
        now = lifecycle.clock()
        instance = instances.get(tx, instance_id)
        # The runs are read after the state: a run that has moved the instance to this state meanwhile is seen.
        if instance is None or runs.open_of_instance(tx, instance_id) or groups.runs_holding(tx, instance_id):
            return
        state = state_after(instance, now, heartbeat_expiry_s)
        if state == instance.state or not instances.move(tx, instance_id, {instance.state}, state, now):
            return
        if state in USABLE:
            instances.clear_fault(tx, instance_id, now)
        else:
            instances.set_fault(tx, instance_id, Reset.code, "The status of the instance was reset.", now)
