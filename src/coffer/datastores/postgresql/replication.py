"""A server's part in replication: made as a replica, re-pointed, stopped as a source, promoted, detached.

Everything may be asked for again, and goes on where a killed agent left off: what was decided lies in the files of
`Standby`, what was done is asked of the server.
"""

import logging
import secrets
from typing import Final

from coffer.catalogue.errors import GuestFailed
from coffer.datastores.driver import Replication, Role, Source
from coffer.datastores.postgresql import admission, controldata, process
from coffer.datastores.postgresql import source as others
from coffer.datastores.postgresql.cloning import clone, recover, rewind
from coffer.datastores.postgresql.controldata import ControlData
from coffer.datastores.postgresql.programs import IsGivenUp, given_up
from coffer.datastores.postgresql.reasons import reason_from
from coffer.datastores.postgresql.rules import ADMIN
from coffer.datastores.postgresql.server import Server
from coffer.datastores.postgresql.session import Session, run, verifier
from coffer.datastores.postgresql.timelines import Position

LOG = logging.getLogger(__name__)

_PROMOTE_TIMEOUT_S: Final = 60
_RELOAD_TIMEOUT_S: Final = 2.0

_STATE: Final = """\
select pg_is_in_recovery(),
    pg_wal_lsn_diff(
        case when pg_is_in_recovery()
        then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) else pg_current_wal_lsn() end,
        '0/0'
    )::bigint,
    exists (select from pg_stat_wal_receiver where status = 'streaming')
"""
_OWN_TIMELINE: Final = """\
select greatest(
    (select timeline_id from pg_control_checkpoint()),
    (select min_recovery_end_timeline from pg_control_recovery()),
    (select received_tli from pg_stat_wal_receiver)
)
"""
_RECEIVES: Final = "select 1 from pg_stat_wal_receiver where status = 'streaming' and slot_name = %s"
_REPLAYED: Final = "select pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint > %s"
_CONNINFO: Final = (
    "select current_setting('primary_conninfo') = %s and current_setting('primary_slot_name') = %s"
)
_TENANTS_OWN: Final = ("primary_conninfo", "primary_slot_name", "restore_command", "recovery_min_apply_delay")
"""What a superuser's ALTER SYSTEM could have put above what we write."""


def state(server: Server) -> Replication:
    """Say what the server is, and how far its log goes.

    Raises:
        GuestFailed: it does not run.
    """
    with server.session() as session:
        is_replica, lsn, is_streaming = session.execute(_STATE).fetchone() or (False, 0, False)
        # A replica has the roles of its source's replicas; and slots, if ever, of the time when it was a source.
        admitted = () if is_replica else admission.admitted(session)
    return Replication(
        role=Role.REPLICA if is_replica else Role.SOURCE,
        lsn=lsn or 0,
        is_streaming=bool(is_streaming),
        admitted=admitted,
    )


def replicate(server: Server, source: Source, *, is_given_up: IsGivenUp) -> None:
    """Make the server as a replica and wait until it streams.

    Raises:
        GuestFailed: the source does not let it in; no space; given up.
    """
    others.facts_of(server.place, source)
    with server.disk_explained():
        server.write_configuration()
        server.standby.follow(source)
    server.expect_admin_password(source.administrator_password)
    if not server.layout.initialised() or server.layout.broken_file.exists():
        clone(server, source, is_given_up=is_given_up)
    server.start()
    _wait_for_the_stream(server, source, is_given_up)
    LOG.info("replica made instance_id=%s", server.place.instance_id)


def follow(server: Server, source: Source) -> None:
    """Stream from a source from now on.

    Raises:
        GuestFailed: it is not of the same origin, does not let us in, or has lost what we need.
    """
    facts = others.facts_of(server.place, source)
    was_replica = _is_replica(server)
    if not was_replica:
        _end_source(server)
    control = _left(server)
    if control is not None and control.system_id != facts.system_id:
        raise GuestFailed(reason="The source does not have the data that this instance came from.")
    with server.disk_explained():
        server.standby.follow(source)
    server.expect_admin_password(source.administrator_password)
    if control is None or server.layout.broken_file.exists():
        clone(server, source, is_given_up=lambda: False)
    elif not was_replica and facts.lacks(Position(control.timeline, control.checkpoint + 1)):
        rewind(server, source)
    _run_as_replica(server, source)
    LOG.info("source changed instance_id=%s was_replica=%s", server.place.instance_id, was_replica)


def demote(server: Server) -> int:
    """Stop a source when its replicas have everything; return the end of its log.

    Raises:
        GuestFailed: it is a replica; or it did not end cleanly.
    """
    if _is_replica(server):
        raise GuestFailed(reason="This instance is a replica: only a source can be demoted.")
    server.stop()
    control = controldata.read(server.layout, server.engine())
    if not control.ended_cleanly:
        raise GuestFailed(reason="The database server did not end cleanly: its replicas may lack something.")
    LOG.info("source demoted instance_id=%s lsn=%d", server.place.instance_id, control.checkpoint)
    return control.checkpoint


def promote(server: Server, lsn: int | None) -> None:
    """Make a replica a source, once it has everything up to `lsn`.

    Raises:
        GuestFailed: it has not, and goes on as it was; or it does not become one in time.
    """
    if server.standby.link() is None:
        return
    server.start()
    mend(server)
    with server.session() as session:
        _become_source(server, session, lsn)
        admission.forget_all(session)
        # Whoever has to be rewound reads the new timeline from what a checkpoint wrote.
        session.execute("checkpoint")
    with server.disk_explained():
        server.standby.forget()
    process.reload(server.layout)
    LOG.info("replica promoted instance_id=%s", server.place.instance_id)


def detach(server: Server) -> None:
    """Make a replica a source with an administrator's password of its own.

    Raises:
        GuestFailed: it does not become one in time.
    """
    if server.standby.link() is None:
        return
    server.start()
    with server.session() as session:
        _become_source(server, session, None)
        password = secrets.token_urlsafe(32)
        # On disk before the server has it: an agent that is killed between finds it.
        server.expect_admin_password(password)
        stored = verifier(session, ADMIN, password)
        run(session, "alter role {} password {stored}", ADMIN, stored=stored)
    # Forgets the replicas, in a session with the new password, and whom it followed.
    promote(server, None)


def mend(server: Server) -> None:
    """Restart a replica whose source was given greater limits than it has: it would wait for ever.

    Raises:
        GuestFailed: it does not come up again.
    """
    if server.standby.link() is None or process.find(server.layout) is None:
        return
    needed = server.standby.limits(server.engine())
    with server.session() as session:
        found = session.execute(
            "select name, setting::int from pg_settings where name = any(%s)", (list(controldata.LIMITS),)
        )
        limits: dict[str, int] = dict(found.fetchall())
    if any(limits.get(name, value) < value for name, value in needed.items()):
        LOG.warning("replica restarts with its source's limits instance_id=%s", server.place.instance_id)
        server.restart()


def _is_replica(server: Server) -> bool:
    """Return whether the server is a replica, running or not."""
    link = server.standby.link()
    if link is None:
        return False
    if not link.is_leaving or server.layout.broken_file.exists():
        return True
    return controldata.read(server.layout, server.engine()).is_in_recovery


def _left(server: Server) -> ControlData | None:
    """Return what the data say; None where a new copy of them broke off when the old ones were going already.

    Raises:
        GuestFailed: they do not say it, and nobody was about to make them anew.
    """
    try:
        return controldata.read(server.layout, server.engine())
    except GuestFailed:
        if server.layout.broken_file.exists():
            return None
        raise


def _end_source(server: Server) -> None:
    """Stop a server that is a source, cleanly."""
    server.stop()
    control = controldata.read(server.layout, server.engine())
    if not control.ended_cleanly and not server.layout.broken_file.exists():
        recover(server)


def _run_as_replica(server: Server, source: Source) -> None:
    """Have the server stream from a source, rewinding what the source has not."""
    if process.find(server.layout) is None:
        server.start()
    else:
        process.reload(server.layout)
    with server.session() as session:
        timeline = session.execute(_OWN_TIMELINE).fetchone() or (0,)
        (_, end, _) = session.execute(_STATE).fetchone() or (True, 0, False)
    # Asked after our own: what is written there meanwhile must not seem to be missing.
    if others.facts_of(server.place, source).lacks(Position(timeline[0], end or 0)):
        server.stop()
        rewind(server, source)
        server.start()
    _wait_for_the_stream(server, source, lambda: False)
    with server.session() as session:
        admission.forget_slots(session)


def _wait_for_the_stream(server: Server, source: Source, is_given_up: IsGivenUp) -> None:
    log_size = server.layout.size_of(server.layout.log_file)
    mend(server)
    with others.asking(server.place, source) as far, server.session() as near:
        _unpin(server, near, source)

        def flows() -> bool:
            is_received = near.execute(_RECEIVES, (source.slot,)).fetchone() is not None
            return is_given_up() or (is_received and others.is_sending(far, source.slot))

        flowed = process.wait_for(flows, server.patience.stream_s)
    if is_given_up():
        raise GuestFailed(reason=given_up())
    if not flowed:
        said = server.layout.read_tail(server.layout.log_file, from_byte=log_size)
        reason = reason_from(said, server.place)
        raise GuestFailed(reason=f"The replica receives nothing from its source: {reason}.")


def _unpin(server: Server, session: Session, source: Source) -> None:
    """Take away what a superuser has set above what we wrote, and let a replay go on that he stopped."""
    if session.execute("select pg_is_wal_replay_paused()").fetchone() == (True,):
        session.execute("select pg_wal_replay_resume()")
    wanted = (server.standby.conninfo(source), source.slot)

    def counts() -> bool:
        return session.execute(_CONNINFO, wanted).fetchone() == (True,)

    if not process.wait_for(counts, _RELOAD_TIMEOUT_S):
        for name in _TENANTS_OWN:
            run(session, "alter system reset {}", name)
        session.execute("select pg_reload_conf()")


def _become_source(server: Server, session: Session, lsn: int | None) -> None:
    """Promote a replica, unless it has been already."""

    def has_all() -> bool:
        return session.execute(_REPLAYED, (lsn,)).fetchone() == (True,)

    if session.execute("select pg_is_in_recovery()").fetchone() == (False,):
        return
    if session.execute("select pg_is_wal_replay_paused()").fetchone() == (True,):
        session.execute("select pg_wal_replay_resume()")
    # The log's end is where its last record begins; when that was replayed, nothing is missing.
    if lsn is not None and not process.wait_for(has_all, server.patience.receive_s):
        raise GuestFailed(reason="The replica has not received everything from its source.")
    with server.disk_explained():
        server.standby.leave()
    session.execute("set statement_timeout = 0")
    promoted = session.execute("select pg_promote(true, %s)", (_PROMOTE_TIMEOUT_S,)).fetchone()
    session.execute("set statement_timeout = '60s'")
    if promoted != (True,):
        raise GuestFailed(reason=f"The replica did not become a source within {_PROMOTE_TIMEOUT_S} s.")
