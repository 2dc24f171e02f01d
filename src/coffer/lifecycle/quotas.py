"""Quotas: what a project may have, held against what it has and what is being made for it.

Nothing is counted up or down: in use is what exists, reserved what is being made. So a failed, killed or forgotten
run gives back what it had reserved by leaving its state, and nothing can leak.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from coffer.catalogue.errors import QuotaExceeded
from coffer.catalogue.resources import DEFAULT_LIMITS, UNLIMITED, Resource
from coffer.store import quotas
from coffer.store.database import Tx


@dataclass(frozen=True, slots=True)
class Quota:
    """One resource of one project; `limit` -1 is no limit, `updated_at` when anything of the project's changed."""

    resource: Resource
    in_use: int
    reserved: int
    limit: int
    updated_at: datetime | None


class Quotas:
    """The quotas of all projects; `defaults` hold where nobody has set another limit."""

    def __init__(self, defaults: Mapping[Resource, int] = DEFAULT_LIMITS) -> None:
        """Use the operator's `defaults`."""
        self._defaults = {**DEFAULT_LIMITS, **defaults}

    def limits(self, tx: Tx, project_id: str) -> dict[Resource, int]:
        """Return what the project may have."""
        return {**self._defaults, **quotas.limits(tx, project_id)}

    def of(self, tx: Tx, project_id: str) -> list[Quota]:
        """Return what the project has and may have, a row a resource."""
        return self._of(tx, [project_id])[project_id]

    def page(self, tx: Tx, *, limit: int, after: str | None = None) -> dict[str, list[Quota]]:
        """Return the same of at most `limit` projects, in order, from the first one behind `after`."""
        return self._of(tx, quotas.projects(tx, limit=limit, after=after))

    def _of(self, tx: Tx, project_ids: Sequence[str]) -> dict[str, list[Quota]]:
        used = quotas.usages(tx, project_ids)
        limits = quotas.limits_of(tx, project_ids)
        changed_at = quotas.changed_at(tx, project_ids)
        return {
            project_id: [
                Quota(
                    resource=resource,
                    in_use=used[project_id][resource].in_use,
                    reserved=used[project_id][resource].reserved,
                    limit=limit,
                    updated_at=changed_at.get(project_id),
                )
                for resource, limit in {**self._defaults, **limits[project_id]}.items()
            ]
            for project_id in project_ids
        }

    def allocate(self, tx: Tx, project_id: str, now: datetime, wanted: Mapping[Resource, int]) -> None:
        """Let the transaction make `wanted` beyond what there is.

        Call it in the body of `Lifecycle.begin`, before the rows are written that take up what is wanted: until
        the transaction is over nobody else allocates for the project, so that no two take the last of it.

        Raises:
            QuotaExceeded: if that would be more than the project may have; it names each such resource.
        """
        quotas.take_turn(tx, project_id, now)
        asked = {resource: amount for resource, amount in wanted.items() if amount > 0}
        used = quotas.usage(tx, project_id)
        limits = self.limits(tx, project_id)
        exceeded = []
        for resource, amount in asked.items():
            taken, limit = used[resource].in_use + used[resource].reserved, limits[resource]
            if limit != UNLIMITED and taken + amount > limit:
                exceeded.append(f"{resource} ({taken} of {limit} are taken, {amount} more asked for)")
        if exceeded:
            raise QuotaExceeded(resources=", ".join(exceeded))
