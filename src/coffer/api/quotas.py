"""Quotas: what a project has and may have, who may say so, and the check before anything more is made."""

from collections.abc import Mapping

from coffer.api.bodies import Quotas
from coffer.api.call import Answer, Call
from coffer.api.context import PROJECT_ID
from coffer.api.policy import ADMIN
from coffer.catalogue.errors import BadRequest, NotFound, QuotaExceeded
from coffer.catalogue.resources import UNLIMITED, Resource
from coffer.lifecycle.runs import Beginning
from coffer.store import quotas

_MOST = 2**31 - 1


def show(call: Call) -> Answer:
    """Show what a project has and may have: one's own, or as an administrator any."""
    wanted = _project(call)
    if wanted != call.project_id:
        call.services.policy.require(ADMIN, call.ctx)
    with call.services.database.reading() as tx:
        found = call.services.quotas.of(tx, wanted)
    rows = [
        {
            "resource": str(quota.resource),
            "in_use": quota.in_use,
            "reserved": quota.reserved,
            "limit": quota.limit,
        }
        for quota in found
    ]
    return Answer(200, {"quotas": rows})


def update(call: Call) -> Answer:
    """Set limits of a project; -1 is no limit. What it has already stays, whatever the limit."""
    asked = call.read(Quotas).quotas
    project_id = _project(call)
    if not asked:
        raise BadRequest(reason="quotas: needs at least one resource.")
    limits = {_resource(name): _limit(name, limit) for name, limit in asked.items()}
    with call.services.database.writing() as tx:
        quotas.set_limits(tx, project_id, limits, call.services.lifecycle.clock())
    return Answer(200, {"quotas": {str(resource): limit for resource, limit in limits.items()}})


def allocate(call: Call, begun: Beginning, wanted: Mapping[Resource, int]) -> None:
    """Let a run that has just begun take up `wanted`; before it writes the rows that do.

    Raises:
        QuotaExceeded: if the project may not have so much.
    """
    now = begun.runs[0].started_at
    call.services.quotas.allocate(begun.tx, call.project_id, now, wanted)


def allocate_instances(
    call: Call, begun: Beginning, *, ram_mib: int, volume_gib: int | None, count: int = 1
) -> None:
    """Let a run that has just begun make `count` instances of a size; before it inserts their rows.

    Raises:
        QuotaExceeded: if the project may not have so many, or no volume may be so large.
    """
    if volume_gib is not None:
        check_volume_size(call, volume_gib)
    wanted = {
        Resource.INSTANCES: count,
        Resource.RAM: count * ram_mib,
        Resource.VOLUMES: count * (volume_gib or 0),
    }
    allocate(call, begun, wanted)


def allocate_backup(call: Call, begun: Beginning) -> None:
    """Let a run that has just begun make a backup; before it inserts its row.

    Raises:
        QuotaExceeded: if the project may not have another one.
    """
    allocate(call, begun, {Resource.BACKUPS: 1})


def check_volume_size(call: Call, volume_gib: int) -> None:
    """Refuse what the operator lets no volume be, whoever's it is (`max_accepted_volume_size`).

    Raises:
        QuotaExceeded: naming the largest size.
    """
    largest_gib = call.services.settings.max_volume_gib
    if volume_gib > largest_gib:
        raise QuotaExceeded(resources=f"size of one volume (at most {largest_gib} GiB)")


def _project(call: Call) -> str:
    wanted = call.params["quota_project_id"]
    if not PROJECT_ID.fullmatch(wanted):
        raise NotFound(resource="Project", id=wanted)
    return wanted


def _resource(name: str) -> Resource:
    try:
        return Resource(name)
    except ValueError:
        raise NotFound(resource="Quota resource", id=name) from None


def _limit(name: str, limit: int) -> int:
    if not UNLIMITED <= limit <= _MOST:
        raise BadRequest(reason=f"quotas.{name}: must be at least -1 (no limit) and at most {_MOST}.")
    return limit
