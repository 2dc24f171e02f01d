"""A source's side of replication: which replicas it knows, as a role and a slot each.

A slot keeps the log that its replica has not received yet, within `max_slot_wal_keep_size`. All roles are members of
one that may, in the server's own database, read what a replica needs that has to be rewound (nothing that the stream
would not tell it), and ask for the checkpoint that an incremental backup of a replica begins with.
"""

import logging
import re
import secrets
import uuid
from typing import Final

from coffer.catalogue.errors import BadRequest, GuestFailed
from coffer.datastores.driver import Source
from coffer.datastores.postgresql import process
from coffer.datastores.postgresql.rules import MAINTENANCE_DATABASE, REPLICAS
from coffer.datastores.postgresql.server import Server
from coffer.datastores.postgresql.session import Session, end_sessions, run, verifier
from coffer.datastores.postgresql.settings import FIRST_WITH_RESERVED_CONNECTIONS

LOG = logging.getLogger(__name__)

_SLOTS: Final = "replica_"
_END_TIMEOUT_S: Final = 10.0
_FIRST_WITH_CHECKPOINT_ROLE: Final = 15
_ID: Final = re.compile("[0-9a-f]{32}")
_KEPT: Final = """\
select slot_name::text from pg_replication_slots where starts_with(slot_name, %s)
union all select rolname::text from pg_roles where starts_with(rolname, %s)
"""


def admit(server: Server, replica_id: str) -> Source:
    """Make the role and the slot of a replica, or give the role another password.

    Raises:
        BadRequest: that is no id.
        GuestFailed: the server is a replica itself, does not run, or has no more slots.
    """
    user, slot = _names(replica_id)
    password = secrets.token_urlsafe(32)
    with server.disk_explained():
        # A server that was started by an older agent has not heard of replicas.
        server.write_configuration()
    process.reload(server.layout)
    with server.session() as session:
        _require_source(session)
        _make_group(session)
        _make_role(session, user, password)
        _make_slot(session, slot)
    LOG.info("replica admitted instance_id=%s replica_id=%s", server.place.instance_id, replica_id)
    return Source(
        address=server.place.address,
        port=server.place.port,
        user=user,
        password=password,
        slot=slot,
        administrator_password=server.admin_password(),
    )


def dismiss(server: Server, replica_id: str) -> None:
    """End the stream to a replica, drop its slot and its role; idempotent.

    Raises:
        BadRequest: that is no id.
        GuestFailed: the server is a replica itself, does not run, or the stream does not end.
    """
    user, slot = _names(replica_id)
    with server.session() as session:
        _require_source(session)
        _drop_role(session, user)
        _drop_slot(session, slot)
    LOG.info("replica dismissed instance_id=%s replica_id=%s", server.place.instance_id, replica_id)


def admitted(session: Session) -> tuple[str, ...]:
    """Return the ids of the replicas that there is a role or a slot for, sorted."""
    found = session.execute(_KEPT, (_SLOTS, f"{REPLICAS}_")).fetchall()
    names = {str(name).removeprefix(_SLOTS).removeprefix(f"{REPLICAS}_") for (name,) in found}
    return tuple(sorted(str(uuid.UUID(name)) for name in names if _ID.fullmatch(name)))


def forget_all(session: Session) -> None:
    """Drop the roles of all replicas, and all their slots.

    Raises:
        GuestFailed: a stream does not end.
    """
    found = session.execute("select rolname from pg_roles where starts_with(rolname, %s)", (f"{REPLICAS}_",))
    for (user,) in found.fetchall():
        _drop_role(session, user)
    forget_slots(session)


def forget_slots(session: Session) -> None:
    """Drop the slots of all replicas; a replica can have some, of the time when it was a source.

    Raises:
        GuestFailed: a stream does not end.
    """
    found = session.execute(
        "select slot_name from pg_replication_slots where starts_with(slot_name, %s)", (_SLOTS,)
    )
    for (slot,) in found.fetchall():
        _drop_slot(session, slot)


def _names(replica_id: str) -> tuple[str, str]:
    try:
        short = uuid.UUID(replica_id).hex
    except (ValueError, AttributeError, TypeError) as error:
        raise BadRequest(reason="That is no id of a replica.") from error
    return f"{REPLICAS}_{short}", f"{_SLOTS}{short}"


def _require_source(session: Session) -> None:
    if session.execute("select pg_is_in_recovery()").fetchone() != (False,):
        raise GuestFailed(reason="This instance is a replica: only a source can have replicas.")


def _make_group(session: Session) -> None:
    if not _has_role(session, REPLICAS):
        run(session, "create role {}", REPLICAS)
    run(session, "grant connect on database {} to {}", MAINTENANCE_DATABASE, REPLICAS)
    run(
        session,
        "grant execute on function pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean),"
        " pg_read_binary_file(text), pg_read_binary_file(text, bigint, bigint, boolean) to {}",
        REPLICAS,
    )
    if session.info.server_version // 10_000 >= _FIRST_WITH_CHECKPOINT_ROLE:
        run(session, "grant pg_checkpoint to {}", REPLICAS)
    if session.info.server_version // 10_000 >= FIRST_WITH_RESERVED_CONNECTIONS:
        run(session, "grant pg_use_reserved_connections to {}", REPLICAS)


def _make_role(session: Session, user: str, password: str) -> None:
    with session.transaction():
        if not _has_role(session, user):
            run(session, "create role {}", user)
        stored = verifier(session, user, password)
        run(session, "alter role {} inherit replication login password {stored}", user, stored=stored)
        run(session, "grant {} to {}", REPLICAS, user)


def _make_slot(session: Session, slot: str) -> None:
    found = session.execute(
        "select wal_status from pg_replication_slots where slot_name = %s", (slot,)
    ).fetchone()
    if found == ("lost",):
        _drop_slot(session, slot)
        found = None
    if found is None:
        session.execute("select pg_create_physical_replication_slot(%s, true)", (slot,))


def _drop_role(session: Session, user: str) -> None:
    if not _has_role(session, user):
        return
    # It must not come back between the end of its stream and its own.
    run(session, "alter role {} nologin", user)
    end_sessions(session, user)
    run(session, "drop role if exists {}", user)


def _drop_slot(session: Session, slot: str) -> None:
    def ended() -> bool:
        found = session.execute(
            "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = %s and active",
            (slot,),
        )
        return found.fetchone() is None

    if not process.wait_for(ended, _END_TIMEOUT_S):
        raise GuestFailed(reason="The stream to a replica does not end.")
    session.execute(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s", (slot,)
    )


def _has_role(session: Session, name: str) -> bool:
    return session.execute("select 1 from pg_roles where rolname = %s", (name,)).fetchone() is not None
