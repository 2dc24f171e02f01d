"""The tenant's users on one server, and which databases they may work in."""

from contextlib import suppress
from typing import Final

import psycopg
from psycopg import errors

from coffer.catalogue.errors import BadRequest, CofferError, NotFound, UserExists
from coffer.datastores.driver import ANY_HOST, UserRow, UserSpec
from coffer.datastores.postgresql import databases
from coffer.datastores.postgresql.rules import ADMIN, ROOT, password_problem, user_name_problem
from coffer.datastores.postgresql.server import Server
from coffer.datastores.postgresql.session import Session, run, verifier

_UNFINISHED: Final = "coffer: not finished"
"""The comment of a role that is being created; an agent that died leaves it behind."""

_TENANTS: Final = f"rolname !~ '^pg_' and rolname not in ('{ADMIN}', '{ROOT}', 'os_replicator')"
_ACCESS: Final = f"""
    array(select datname::text from pg_database
          where {databases.TENANTS} and has_database_privilege(role.oid, pg_database.oid, 'connect')
          order by datname collate "C")
"""  # noqa: S608 — ours


def create(server: Server, user: UserSpec) -> None:
    """Create a user with access to databases; wholly or not at all.

    The server is told a verifier, never the password. Grants inside a database need a session in that
    database, so this cannot be one transaction: until the last step the role is marked and cannot log in.

    Raises:
        BadRequest, UserExists, NotFound (a database), GuestFailed.
    """
    _check(user)
    with server.session() as session:
        for name in user.databases:
            databases.require(session, name)
        _remove_unfinished(server, session, user.name)
        try:
            with session.transaction():
                run(session, "create role {}", user.name)
                run(session, "comment on role {} is {mark}", user.name, mark=_UNFINISHED)
        except errors.DuplicateObject:
            raise UserExists(name=user.name) from None
        try:
            _complete(server, session, user)
        except BaseException:
            with suppress(CofferError, psycopg.Error):
                _remove(server, session, user.name)
            raise


def replace(server: Server, user: UserSpec) -> None:
    """Make an existing user what he should be: for a `prepare` that goes on after it broke.

    Raises:
        NotFound (a database), GuestFailed.
    """
    with server.session() as session:
        for name in user.databases:
            databases.require(session, name)
        _complete(server, session, user)


def delete(server: Server, name: str, host: str) -> None:
    """Delete a user: his sessions end, what he owns becomes the administrator's.

    Raises:
        BadRequest (a host), NotFound, GuestFailed (he is still there, though what he owned may be gone).
    """
    _check_host(host)
    with server.session() as session:
        _require(session, name)
        can_login = session.execute("select rolcanlogin from pg_roles where rolname = %s", (name,)).fetchone()
        try:
            _remove(server, session, name)
        except (CofferError, psycopg.Error):
            if can_login == (True,):
                run(session, "alter role {} login", name)
            raise


def rows(server: Server) -> list[UserRow]:
    """Return the tenant's users in the order of their names' code points.

    Raises:
        GuestFailed.
    """
    with server.session() as session:
        found = session.execute(
            f"select rolname, {_ACCESS} from pg_roles role where {_TENANTS} and rolcanlogin"  # noqa: S608 — ours
            ' order by rolname collate "C"'
        ).fetchall()
    return [UserRow(name=name, host=ANY_HOST, databases=tuple(access)) for name, access in found]


def get(server: Server, name: str, host: str) -> UserRow:
    """Return one of the tenant's users.

    Raises:
        BadRequest (a host), NotFound, GuestFailed.
    """
    _check_host(host)
    with server.session() as session:
        _require(session, name)
        found = session.execute(
            f"select {_ACCESS} from pg_roles role where rolname = %s",  # noqa: S608 — ours
            (name,),
        ).fetchone()
    if found is None:
        raise NotFound(resource="User", id=name)
    return UserRow(name=name, host=ANY_HOST, databases=tuple(found[0]))


def _complete(server: Server, session: Session, user: UserSpec) -> None:
    for name in user.databases:
        grant(server, session, user=user.name, database=name)
    with session.transaction():
        stored = verifier(session, user.name, user.password)
        run(session, "alter role {} login password {stored}", user.name, stored=stored)
        run(session, "comment on role {} is null", user.name)


def grant(server: Server, session: Session, *, user: str, database: str) -> None:
    """Let a user work in a database.

    Raises:
        GuestFailed.
    """
    # Since PostgreSQL 15 a right on the database is no right to create anything in its schema `public`.
    with server.session(database) as inside:
        run(inside, "grant all on schema public to {}", user)
    run(session, "grant all privileges on database {} to {}", database, user)


def _remove(server: Server, session: Session, name: str) -> None:
    """Remove a role that may own things in any database, and have sessions."""
    run(session, "alter role {} nologin", name)
    session.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", (name,))
    for database in databases.enterable(session):
        with server.session(database) as inside:
            run(inside, "reassign owned by {} to {}", name, ADMIN)
            run(inside, "drop owned by {}", name)
    run(session, "drop role if exists {}", name)


def _remove_unfinished(server: Server, session: Session, name: str) -> None:
    found = session.execute(
        "select 1 from pg_roles where rolname = %s and not rolcanlogin"
        " and shobj_description(oid, 'pg_authid') = %s",
        (name, _UNFINISHED),
    ).fetchone()
    if found is not None:
        _remove(server, session, name)


def _require(session: Session, name: str) -> None:
    found = None
    if user_name_problem(name) is None:
        found = session.execute(
            f"select 1 from pg_roles where {_TENANTS} and rolname = %s",  # noqa: S608 — ours
            (name,),
        ).fetchone()
    if found is None:
        raise NotFound(resource="User", id=name)


def _check(user: UserSpec) -> None:
    _check_host(user.host)
    problems = (("name", user_name_problem(user.name)), ("password", password_problem(user.password)))
    for what, problem in problems:
        if problem:
            raise BadRequest(reason=f"The {what} of the user {problem}.")


def _check_host(host: str) -> None:
    if host != ANY_HOST:
        raise BadRequest(reason=f"PostgreSQL's users have no host: leave it out, or give {ANY_HOST}.")
