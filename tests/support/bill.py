"""Two bills of the same time: one from the announcements alone, one from the control plane's tables (G10).

Pure. Amounts are exact: hours are kept as time, gibibyte-hours as time times GiB.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

_CREATE = "trove.instance.create"
_DELETE = "trove.instance.delete"
_CHANGES = ("trove.instance.modify_flavor", "trove.instance.modify_volume")
_EXISTS = "trove.instance.exists"


@dataclass(frozen=True, slots=True)
class Size:
    """What an instance costs by."""

    flavor: str
    volume_gib: int


@dataclass(slots=True)
class Life:
    """From when to when an instance is billed, and as what: each size from its moment on."""

    tenant: str
    begin: datetime
    size: Size
    end: datetime | None = None
    changes: list[tuple[datetime, Size]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bill:
    """How long each tenant has had instances of each flavor, and how long how many GiB."""

    instances: Mapping[tuple[str, str], timedelta]
    """By tenant and flavor."""
    volumes: Mapping[str, timedelta]
    """By tenant; an hour of two GiB is two hours."""

    def instance_time(self, tenant: str) -> timedelta:
        """Return how long a tenant has had instances, of whatever flavor."""
        return sum((time for (who, _), time in self.instances.items() if who == tenant), timedelta())


def bill(lives: Iterable[Life], until: datetime) -> Bill:
    """Add up what everybody owes for everything before `until`."""
    instances: dict[tuple[str, str], timedelta] = defaultdict(timedelta)
    volumes: dict[str, timedelta] = defaultdict(timedelta)
    for life in lives:
        for size, lasted in _stretches(life, until):
            instances[life.tenant, size.flavor] += lasted
            volumes[life.tenant] += lasted * size.volume_gib
    return Bill(
        {key: time for key, time in instances.items() if time},
        {tenant: time for tenant, time in volumes.items() if time},
    )


def lives_told(events: Iterable[Mapping[str, Any]]) -> dict[str, Life]:
    """Read lives from announcements, as `coffer events list` gives them; by instance.

    Raises:
        ValueError: an instance is created twice, or changed or deleted that is not there.
    """
    lives: dict[str, Life] = {}
    for event in events:
        kind, payload = event["event_type"], event["payload"]
        if kind not in {_CREATE, _DELETE, *_CHANGES}:
            continue
        instance_id = payload["instance_id"]
        life = lives.get(instance_id)
        if (kind == _CREATE) is not (life is None) or (life is not None and life.end is not None):
            raise ValueError(f"{kind} of {instance_id} out of order")
        if life is None:
            begin = datetime.fromisoformat(payload["launched_at"])
            lives[instance_id] = Life(payload["tenant_id"], begin, _told_size(payload))
        elif kind == _DELETE:
            life.end = datetime.fromisoformat(payload["deleted_at"])
        else:
            life.changes.append((datetime.fromisoformat(payload["modify_at"]), _told_size(payload)))
    return lives


def lives_kept(
    instances: Iterable[Sequence[Any]], runs: Iterable[tuple[str, str, str, str]]
) -> dict[str, Life]:
    """Read lives from the tables; by instance.

    `instances` are id, project_id, created_at, launched_at, deleted_at; `runs` those which ended well, in the order of
    their endings: operation, instance_id, traits, ended_at.
    """
    kept = {row[0]: row for row in instances}
    lives: dict[str, Life] = {}
    for operation, instance_id, text, ended_at in runs:
        traits, life = json.loads(text), lives.get(instance_id)
        if operation == "instance_create":
            _, project_id, created_at, _, deleted_at = kept[instance_id]
            size = Size(traits["flavor"], traits["volume_size"])
            end = None if deleted_at is None else moment(deleted_at)
            lives[instance_id] = Life(project_id, moment(created_at), size, end)
        elif operation == "instance_resize_instance" and life is not None:
            life.changes.append((moment(ended_at), Size(traits["new_flavor_id"], _latest(life).volume_gib)))
        elif operation == "instance_resize_volume" and life is not None:
            life.changes.append((moment(ended_at), Size(_latest(life).flavor, traits["new_size"])))
    launched = {row[0] for row in kept.values() if row[3] is not None}
    if lives.keys() != launched:
        raise ValueError(f"launched are {sorted(launched)}, created {sorted(lives)}")
    return lives


def periods_told(events: Iterable[Mapping[str, Any]]) -> dict[str, list[tuple[datetime, datetime]]]:
    """Return the audited periods of each instance, in their order."""
    periods: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for event in events:
        if event["event_type"] == _EXISTS:
            payload = event["payload"]
            begin, end = (
                datetime.fromisoformat(payload[f"audit_period_{name}"]) for name in ("beginning", "ending")
            )
            periods[payload["instance_id"]].append((begin, end))
    return {instance_id: sorted(found) for instance_id, found in periods.items()}


def moment(text: str) -> datetime:
    """Read a moment as the store keeps it: UTC, without saying so."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _stretches(life: Life, until: datetime) -> Iterable[tuple[Size, timedelta]]:
    end = until if life.end is None else min(life.end, until)
    steps = [(life.begin, life.size), *sorted(life.changes, key=lambda change: change[0])]
    ends = [*(at for at, _ in steps[1:]), end]
    for (begin, size), after in zip(steps, ends, strict=True):
        yield size, max(timedelta(), min(after, end) - begin)


def _told_size(payload: Mapping[str, Any]) -> Size:
    return Size(payload["instance_type_id"], payload.get("volume_size", 0))


def _latest(life: Life) -> Size:
    return life.changes[-1][1] if life.changes else life.size
