"""What a replica asks its source before it relies on it, and how it sees that the stream flows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg

from coffer.catalogue.errors import GuestFailed
from coffer.datastores.driver import Place, Source
from coffer.datastores.postgresql.reasons import readable
from coffer.datastores.postgresql.session import Session, explained, open_replicas_session
from coffer.datastores.postgresql.timelines import Position, has_diverged

_ASK: Final = """\
select (select system_identifier from pg_control_system()), pg_is_in_recovery(),
    current_setting('server_version_num')::int / 10000
"""
_END: Final = "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
_WHERE: Final = """\
select ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int,
    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a source says of itself: its kind of data, how far its log goes, and where that came from."""

    system_id: int
    position: Position
    history: str

    def lacks(self, own: Position) -> bool:
        """Return whether a log has something that the source's has not.

        Raises:
            GuestFailed: the source's history is none.
        """
        try:
            return has_diverged(own, self.position, self.history)
        except ValueError as error:
            raise GuestFailed(reason="The source does not say where its log came from.") from error


@contextmanager
def asking(place: Place, source: Source) -> Iterator[Session]:
    """Open a session on the source as its replica.

    Raises:
        GuestFailed: it does not let us in, or refused a statement.
    """
    try:
        session = open_replicas_session(source)
    except psycopg.Error as error:
        said = readable(str(error).splitlines()[0], place)
        raise GuestFailed(reason=f"The source does not let this replica in: {said}.") from None
    with explained(place), session:
        yield session


def facts_of(place: Place, source: Source) -> Facts:
    """Ask a source how it is.

    Raises:
        GuestFailed: it does not let us in, is no source, or of another version.
    """
    with asking(place, source) as session:
        system_id, is_in_recovery, version = session.execute(_ASK).fetchone() or (0, True, 0)
        if is_in_recovery:
            raise GuestFailed(reason="What this replica should follow is a replica itself.")
        if str(version) != place.version:
            raise GuestFailed(reason=f"The source is PostgreSQL {version}, and not {place.version}.")
        timeline, end = session.execute(_WHERE).fetchone() or (0, 0)
        history = ""
        if timeline > 1:
            found = session.execute(
                "select convert_from(pg_read_binary_file(%s), 'utf8')", (f"pg_wal/{timeline:08X}.history",)
            )
            (history,) = found.fetchone() or ("",)
    return Facts(system_id=system_id, position=Position(timeline, end), history=history)


def checkpoint(place: Place, source: Source) -> int:
    """Have a source make a checkpoint; return a place in its log behind it.

    Raises:
        GuestFailed: it does not let us in, or refused.
    """
    with asking(place, source) as session:
        session.execute("checkpoint")
        (end,) = session.execute(_END).fetchone() or (0,)
    return int(end)


def is_sending(session: Session, slot: str) -> bool:
    """Return whether the source has a stream for a slot."""
    found = session.execute("select active from pg_replication_slots where slot_name = %s", (slot,))
    return found.fetchone() == (True,)
