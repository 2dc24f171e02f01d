"""Guest channels: the wrapped keys of instances, and the numbers of what went out and came in under each."""

from dataclasses import asdict, dataclass, field
from datetime import datetime

import sqlalchemy as sa

from coffer.store.database import Tx
from coffer.store.tables import GUEST_CHANNELS

_COLUMN = GUEST_CHANNELS.c


@dataclass(frozen=True, slots=True)
class GuestChannel:
    """A row. `seen` is the bitmap of the window below `highest`, in hexadecimal digits."""

    instance_id: str
    key_id: int
    wrapped_key: str = field(repr=False)
    created_at: datetime
    sent: int = 0
    highest: int = 0
    seen: str = "0"
    beat: int = 0


def insert(tx: Tx, channel: GuestChannel) -> None:
    """Add a key."""
    tx.execute(sa.insert(GUEST_CHANNELS).inline(), asdict(channel))


def of_instance(tx: Tx, instance_id: str, *, to_change: bool = False) -> list[GuestChannel]:
    """Return the keys of an instance, the oldest first; `to_change` keeps everybody else from changing them."""
    query = sa.select(GUEST_CHANNELS).where(_COLUMN.instance_id == instance_id).order_by(_COLUMN.key_id)
    found = tx.execute(query.with_for_update() if to_change else query).mappings()
    return [GuestChannel(**row) for row in found]


def get(tx: Tx, instance_id: str, key_id: int) -> GuestChannel | None:
    """Return one key."""
    query = sa.select(GUEST_CHANNELS).where(_is(instance_id, key_id))
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else GuestChannel(**row)


def note_sent(tx: Tx, channel: GuestChannel, number: int) -> None:
    """Note that a number was given away."""
    tx.execute(sa.update(GUEST_CHANNELS).where(_is_row(channel)).values(sent=number))


def note_received(tx: Tx, channel: GuestChannel, highest: int, seen: str) -> None:
    """Keep the window as it is after a message."""
    tx.execute(sa.update(GUEST_CHANNELS).where(_is_row(channel)).values(highest=highest, seen=seen))


def note_beat(tx: Tx, instance_id: str, key_id: int, number: int) -> bool:
    """Note a sign of life; False if a later one was noted before."""
    statement = sa.update(GUEST_CHANNELS).where(_is(instance_id, key_id), _COLUMN.beat < number)
    return tx.execute(statement.values(beat=number)).rowcount == 1


def rewrap(tx: Tx, channel: GuestChannel, wrapped_key: str) -> None:
    """Keep a key under another secret."""
    tx.execute(sa.update(GUEST_CHANNELS).where(_is_row(channel)).values(wrapped_key=wrapped_key))


def remove(tx: Tx, instance_id: str, *, before_key_id: int | None = None) -> bool:
    """Forget the keys of an instance, or those before one of them; False if there was none."""
    statement = sa.delete(GUEST_CHANNELS).where(_COLUMN.instance_id == instance_id)
    if before_key_id is not None:
        statement = statement.where(_COLUMN.key_id < before_key_id)
    return tx.execute(statement).rowcount > 0


def enrolled(tx: Tx) -> list[str]:
    """Return the ids of the instances that have a key, in order."""
    return list(tx.scalars(sa.select(_COLUMN.instance_id).distinct().order_by(_COLUMN.instance_id)))


def _is_row(channel: GuestChannel) -> sa.ColumnElement[bool]:
    return _is(channel.instance_id, channel.key_id)


def _is(instance_id: str, key_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(_COLUMN.instance_id == instance_id, _COLUMN.key_id == key_id)
