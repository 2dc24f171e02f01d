"""How a change of a configuration group reaches the instances that are attached to it.

The group is changed in the transaction that begins the run, and every instance that must be told shows
RESTART_REQUIRED from then on: whatever dies, a restart gives it what the group says. An instance that has taken all of
it without a restart becomes ACTIVE again in the transaction that ends the run.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from coffer.api.call import Call
from coffer.api.guests import asking, restart_required_of
from coffer.api.settling import Settling
from coffer.catalogue.errors import (
    CofferError,
    ConfigurationNotApplied,
    GuestUnreachable,
    InvalidParameter,
    NotFound,
    WrongState,
)
from coffer.catalogue.states import SERVING, InstanceState
from coffer.datastores.parameters import Value, as_texts
from coffer.lifecycle.moves import current_state, leave_as
from coffer.store import configurations, instances
from coffer.store.configurations import Configuration
from coffer.store.database import Tx
from coffer.store.instances import Instance

Result = TypeVar("Result")

LOG = logging.getLogger(__name__)

UNTOLD = frozenset({InstanceState.ERROR, InstanceState.SHUTDOWN})
"""Instances that do not serve: they do not hinder a change, and hear of it when they are restarted."""
_AT_ONCE = 8
"""Guests that are spoken to at a time."""
_ATTEMPTS = 5


class Overtaken(Exception):  # noqa: N818 — it states what happened; caught where the attempt is made again
    """Somebody changed the group or the instance while its guest was told: it has to be told again."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a group is to become; `labels` are its name and description if they change."""

    group_id: str
    values: Mapping[str, Value]
    labels: Mapping[str, str]
    is_merged: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What one guest answered: whether its server waits for a restart, or why it did not take the parameters."""

    instance_id: str
    restart_required: bool = True
    error: CofferError | None = None


def ask(call: Call, group: Configuration, values: Mapping[str, Value]) -> dict[str, CofferError]:
    """Ask the guests of a group whether their servers would take `values`; return who did not answer, and why.

    Raises:
        InvalidParameter: naming the first one that would not.
    """
    with call.services.database.reading() as tx:
        serving = [each for each in _attached(tx, group.id) if each.state in SERVING]

    def refusal(instance_id: str) -> CofferError | None:
        try:
            with asking(instance_id):
                call.services.guest(instance_id).check_configuration(call.ctx, as_texts(values))
        except CofferError as error:
            return error
        return None

    silent: dict[str, CofferError] = {}
    for instance, error in zip(serving, _each(refusal, [each.id for each in serving]), strict=True):
        if isinstance(error, InvalidParameter):
            raise InvalidParameter(reason=f"Instance {instance.id}: {error.message}") from error
        if isinstance(error, GuestUnreachable):
            silent[instance.id] = error
    return silent


def write(tx: Tx, operation: str, change: Change, now: datetime) -> list[str]:
    """Change the group, mark the instances that must be told, return their ids.

    Raises:
        NotFound: if the group was deleted meanwhile.
        WrongState: if one of its instances is busy.
    """
    group = configurations.lock(tx, change.group_id)
    if group is None:
        raise NotFound(resource="Configuration", id=change.group_id)
    told = [each for each in _attached(tx, group.id) if each.state not in UNTOLD]
    for each in told:
        if each.state not in SERVING or not leave_as(tx, each.id, InstanceState.RESTART_REQUIRED, now):
            allowed = ", ".join(sorted(SERVING | UNTOLD))
            state = current_state(tx, each.id)
            raise WrongState(id=each.id, state=state, operation=operation, allowed=allowed)
    values = {**group.values, **change.values} if change.is_merged else change.values
    configurations.update(tx, group.id, now, values, **change.labels)
    return [each.id for each in told]


def tell(
    call: Call,
    settling: Settling,
    group_id: str,
    marked: Sequence[str],
    silent: Mapping[str, CofferError],
) -> None:
    """Give the group's parameters to the guests of `marked` instances, but for the `silent`, and end the run.

    Raises:
        ConfigurationNotApplied: naming those that did not take them. The group stays changed.
        NotFound: if the group was deleted meanwhile.
    """
    for _ in range(_ATTEMPTS):
        try:
            _tell(call, settling, group_id, marked, silent)
        except Overtaken:
            continue
        _correct(call, group_id, marked)
        return
    raise ConfigurationNotApplied(failures="It is changed by others again and again.")


def _tell(
    call: Call,
    settling: Settling,
    group_id: str,
    marked: Sequence[str],
    silent: Mapping[str, CofferError],
) -> None:
    with call.services.database.reading() as tx:
        group = configurations.find(tx, call.project_id, group_id)
    if group is None:
        raise NotFound(resource="Configuration", id=group_id)
    texts = as_texts(group.values)
    answers = [Told(each, error=silent[each]) for each in marked if each in silent]
    speaking = [each for each in marked if each not in silent]
    answers += _each(lambda instance_id: tell_one(call, instance_id, texts), speaking)
    failed = [each for each in answers if each.error is not None]
    if not failed:
        settling.end(settling.context, lambda ending: _settle(ending.tx, group, answers, ending.now))
        return
    with call.services.database.writing() as tx:
        _settle(tx, group, answers, call.services.lifecycle.clock())
    raise ConfigurationNotApplied(failures=" ".join(_sentence(each) for each in failed))


def tell_one(call: Call, instance_id: str, texts: Mapping[str, str]) -> Told:
    """Give parameters to one guest, and say what it answered."""
    try:
        with asking(instance_id):
            answer = call.services.guest(instance_id).apply_configuration(call.ctx, texts)
            return Told(instance_id, restart_required=restart_required_of(answer))
    except CofferError as error:
        LOG.warning("configuration not applied instance_id=%s code=%s", instance_id, error.code)
        return Told(instance_id, error=error)


def correct(call: Call, instance_id: str) -> None:
    """Give a guest that was told what did not come true the parameters that its instance should have."""
    with call.services.database.reading() as tx:
        wanted = configurations.wanted(tx, instance_id)
    tell_one(call, instance_id, as_texts(wanted))


def _settle(tx: Tx, group: Configuration, answers: Iterable[Told], now: datetime) -> None:
    """Make ACTIVE again who has taken everything.

    Raises:
        Overtaken: if the group is not what the guests were told.
    """
    current = configurations.lock(tx, group.id)
    if current is None or current.updated_at != group.updated_at:
        raise Overtaken
    for answer in answers:
        row = instances.get(tx, answer.instance_id)
        # Somebody who changed the instance since it was marked knows better, or restarts it anyway.
        is_ours = row is not None and row.updated_at <= group.updated_at
        if is_ours and answer.error is None and not answer.restart_required:
            leave_as(tx, answer.instance_id, InstanceState.ACTIVE, now)


def _correct(call: Call, group_id: str, marked: Iterable[str]) -> None:
    """Correct the guests of instances that were detached while they were told."""
    with call.services.database.reading() as tx:
        rows = [instances.get(tx, instance_id) for instance_id in marked]
    for row in rows:
        if row is not None and row.deleted_at is None and row.configuration_id != group_id:
            correct(call, row.id)


def _attached(tx: Tx, group_id: str) -> list[Instance]:
    rows = [instances.get(tx, instance_id) for instance_id, _ in configurations.attached(tx, group_id)]
    return [row for row in rows if row is not None]


def _each(work: Callable[[str], Result], instance_ids: Sequence[str]) -> list[Result]:
    """Do the work for several instances at a time; results in their order."""
    if not instance_ids:
        return []
    workers = min(_AT_ONCE, len(instance_ids))
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="spreading") as pool:
        return list(pool.map(work, instance_ids))


def _sentence(told: Told) -> str:
    assert told.error is not None
    return f"Instance {told.instance_id}: {told.error.message}"
