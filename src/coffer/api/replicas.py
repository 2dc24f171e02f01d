"""Replicas: as many new instances as are asked for, each a copy of its source that follows it from then on.

Each is made by a run of its own, with one `request_id`: one that fails is no reason to be without the others.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from coffer.api.bodies import NewInstance
from coffer.api.call import Answer, Call, is_uuid
from coffer.api.instances import shown
from coffer.api.offers import version_on_offer
from coffer.api.quotas import allocate_instances
from coffer.api.settling import Settling
from coffer.api.validation import label_problem, require
from coffer.api.wanted import (
    configuration_id_of,
    end_of,
    flavor_of,
    refuse_unbuilt,
    require_group,
    size_of,
    zone_of,
)
from coffer.catalogue.errors import (
    BadRequest,
    NotFound,
    ReplicaOfReplica,
    ReplicaTooSmall,
    ServerNotRunning,
    WrongState,
)
from coffer.catalogue.operations import OPERATIONS
from coffer.catalogue.states import USABLE, ServiceStatus
from coffer.clouds.cloud import Flavor
from coffer.store import instances, replication
from coffer.store.database import Tx
from coffer.store.instances import Instance

MOST = 3
"""Replicas that one call makes."""

_BESIDE_A_SOURCE = {
    "databases": "a replica has the databases of its source",
    "users": "a replica has the users of its source",
    "restore_point": "a replica starts from its source, not from a backup",
}
_DOWN = frozenset({ServiceStatus.SHUTDOWN, ServiceStatus.CRASHED})


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for: `count` replicas of a source, as it was when it was found."""

    asked: NewInstance
    source: Instance
    flavor: Flavor
    volume_gib: int | None
    availability_zone: str
    count: int
    configuration_id: str | None

    def names(self) -> list[str]:
        """Return what the replicas are called: as was asked for, numbered if there are several."""
        name = self.asked.name
        return [name] if self.count == 1 else [f"{name}-{number}" for number in range(1, self.count + 1)]


def create(call: Call, asked: NewInstance) -> Answer:
    """Create replicas; the answer shows the last one as it is being built."""
    plan = _plan(call, asked)
    ids = [str(uuid.uuid4()) for _ in range(plan.count)]
    items = [_traits(plan, *each) for each in zip(ids, plan.names(), strict=True)]
    with call.services.lifecycle.begin(call.ctx, OPERATIONS["instance_create"], items=items) as begun:
        require_group(begun.tx, plan.configuration_id)
        source = _require_replicable(begun.tx, plan)
        allocate_instances(
            call, begun, ram_mib=plan.flavor.ram_mib, volume_gib=plan.volume_gib, count=plan.count
        )
        now = begun.runs[0].started_at
        rows = [_row(call, plan, source, *each, now) for each in zip(ids, plan.names(), strict=True)]
        for row in rows:
            instances.insert(begun.tx, row)
    taskmanager = call.services.taskmanager
    with Settling(call, begun) as settling:
        settling.hand_on_each([partial(taskmanager.create_replica, instance_id=each) for each in ids])
    return Answer(200, {"instance": shown(call, rows[-1])})


def _plan(call: Call, asked: NewInstance) -> Plan:
    """Check what is asked for and find it on offer.

    Raises:
        NotFound: there is no such source.
        BadRequest, NotBuilt: naming the field.
    """
    count = 1 if asked.replica_count is None else asked.replica_count
    if not 1 <= count <= MOST:
        raise BadRequest(reason=f"instance.replica_count: must be 1 to {MOST}.")
    for field, why in _BESIDE_A_SOURCE.items():
        if getattr(asked, field):
            raise BadRequest(reason=f"instance.{field}: {why}.")
    refuse_unbuilt(asked)
    source = _source(call, asked)
    if asked.datastore is not None:
        _require_same(call, asked, source)
    plan = Plan(
        asked=asked,
        source=source,
        flavor=flavor_of(call, asked.flavor_ref or source.flavor_id),
        volume_gib=size_of(asked.volume) if asked.volume is not None else source.volume_gib,
        availability_zone=zone_of(call, asked),
        count=count,
        configuration_id=configuration_id_of(call, asked, source.datastore, source.datastore_version),
    )
    for name in plan.names():
        require(label_problem(name), "instance.name")
    return plan


def _source(call: Call, asked: NewInstance) -> Instance:
    """Find the source by its id, or by a link that ends in it; `slave_of` is the older word for it."""
    wanted = end_of(asked.replica_of or asked.slave_of or "")
    found = None
    if is_uuid(wanted):
        with call.services.database.reading() as tx:
            found = instances.find(tx, call.project_id, wanted)
    if found is None:
        raise NotFound(resource="Instance", id=wanted)
    return found


def _require_same(call: Call, asked: NewInstance, source: Instance) -> None:
    """Refuse another engine than the source's.

    Raises:
        BadRequest: naming both.
    """
    assert asked.datastore is not None
    datastore, version = version_on_offer(call, asked.datastore, where="instance.datastore")
    is_version_named = bool(asked.datastore.version or asked.datastore.version_number)
    is_other = is_version_named and version.name != source.datastore_version
    if datastore.name != source.datastore or is_other:
        raise BadRequest(
            reason=f"instance.datastore: the source {source.id} has {source.datastore} {source.datastore_version}, "
            "and a replica has the same."
        )


def _require_replicable(tx: Tx, plan: Plan) -> Instance:
    """Return the source as it is now; nobody moves it until the replicas are written down.

    Raises:
        NotFound, ReplicaOfReplica, WrongState, ServerNotRunning, ReplicaTooSmall.
    """
    source = replication.lock(tx, plan.source.id)
    if source is None:
        raise NotFound(resource="Instance", id=plan.source.id)
    if source.replica_of is not None:
        raise ReplicaOfReplica(id=source.id, source_id=source.replica_of)
    if source.state not in USABLE:
        allowed = ", ".join(sorted(USABLE))
        raise WrongState(id=source.id, state=source.state, operation="replicating", allowed=allowed)
    if source.service_status in _DOWN:
        raise ServerNotRunning(id=source.id, status=source.service_status)
    if plan.volume_gib is not None and plan.volume_gib < (source.volume_gib or 0):
        raise ReplicaTooSmall(id=source.id, needed_gib=source.volume_gib, volume_gib=plan.volume_gib)
    return source


def _traits(plan: Plan, instance_id: str, name: str) -> dict[str, str | int | None]:
    """Return what the `.start` of one replica says."""
    return {
        "instance_id": instance_id,
        "name": name,
        "flavor": plan.flavor.id,
        "datastore": plan.source.datastore,
        "datastore_version": plan.source.datastore_version,
        "volume_size": plan.volume_gib,
        "availability_zone": plan.asked.availability_zone,
        "replica_of": plan.source.id,
        "replica_count": str(plan.count),
    }


def _row(call: Call, plan: Plan, source: Instance, instance_id: str, name: str, now: datetime) -> Instance:
    return Instance(
        id=instance_id,
        project_id=call.project_id,
        user_id=call.ctx.user_id,
        name=name,
        datastore=source.datastore,
        datastore_version=source.datastore_version,
        flavor_id=plan.flavor.id,
        flavor_name=plan.flavor.name,
        ram_mib=plan.flavor.ram_mib,
        volume_gib=plan.volume_gib,
        availability_zone=plan.availability_zone,
        replica_of=source.id,
        configuration_id=plan.configuration_id,
        root_enabled_at=source.root_enabled_at,
        region=call.services.settings.region,
        created_at=now,
        updated_at=now,
    )
