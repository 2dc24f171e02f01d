"""The tenant's users on one server, and which databases they may work in."""

from contextlib import suppress
from typing import Final

import psycopg
from psycopg import errors

from coffer.catalogue.errors import BadRequest, CofferError, NotFound, UserExists
from coffer.datastores.driver import ANY_HOST, UserChanges, UserRow, UserSpec
from coffer.datastores.postgresql import access, databases
from coffer.datastores.postgresql.rules import ADMIN, password_problem, user_name_problem
from coffer.datastores.postgresql.server import Server
from coffer.datastores.postgresql.session import Session, end_sessions, run, verifier

_UNFINISHED: Final = "coffer: not finished"
"""The comment of a role that is being created; an agent that died leaves it behind."""

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
    access.check_host(host)
    with server.session() as session:
        access.require_user(session, name)
        can_login = session.execute("select rolcanlogin from pg_roles where rolname = %s", (name,)).fetchone()
        try:
            _remove(server, session, name)
        except (CofferError, psycopg.Error):
            if can_login == (True,):
                run(session, "alter role {} login", name)
            raise


def update(server: Server, name: str, host: str, changes: UserChanges) -> None:
    """Change a user, all of it or nothing; what he may do and owns stays his.

    Raises:
        BadRequest, NotFound, UserExists (the new name), GuestFailed.
    """
    _check_changes(host, changes)
    new_name = name if changes.name is None else changes.name
    with server.session() as session:
        access.require_user(session, name)
        if new_name != name:
            _remove_unfinished(server, session, new_name)
        try:
            with session.transaction():
                if changes.password is not None:
                    stored = verifier(session, new_name, changes.password)
                    run(session, "alter role {} password {stored}", name, stored=stored)
                if new_name != name:
                    run(session, "alter role {} rename to {}", name, new_name)
        except errors.DuplicateObject:
            raise UserExists(name=new_name) from None


def rows(server: Server) -> list[UserRow]:
    """Return the tenant's users in the order of their names' code points.

    Raises:
        GuestFailed.
    """
    with server.session() as session:
        found = session.execute(
            f"select rolname, {_ACCESS} from pg_roles role where {access.TENANTS} and rolcanlogin"  # noqa: S608 — ours
            ' order by rolname collate "C"'
        ).fetchall()
    return [UserRow(name=name, host=ANY_HOST, databases=tuple(entered)) for name, entered in found]


def get(server: Server, name: str, host: str) -> UserRow:
    """Return one of the tenant's users.

    Raises:
        BadRequest (a host), NotFound, GuestFailed.
    """
    access.check_host(host)
    with server.session() as session:
        access.require_user(session, name)
        found = session.execute(
            f"select {_ACCESS} from pg_roles role where rolname = %s",  # noqa: S608 — ours
            (name,),
        ).fetchone()
    if found is None:
        raise NotFound(resource="User", id=name)
    return UserRow(name=name, host=ANY_HOST, databases=tuple(found[0]))


def _complete(server: Server, session: Session, user: UserSpec) -> None:
    for name in user.databases:
        access.grant(server, session, user=user.name, database=name)
    with session.transaction():
        stored = verifier(session, user.name, user.password)
        run(session, "alter role {} login password {stored}", user.name, stored=stored)
        run(session, "comment on role {} is null", user.name)


def _remove(server: Server, session: Session, name: str) -> None:
    """Remove a role that may own things in any database, and have sessions."""
    run(session, "alter role {} nologin", name)
    end_sessions(session, name)
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


def _check(user: UserSpec) -> None:
    access.check_host(user.host)
    problems = (("name", user_name_problem(user.name)), ("password", password_problem(user.password)))
    for what, problem in problems:
        if problem:
            raise BadRequest(reason=f"The {what} of the user {problem}.")


def _check_changes(host: str, changes: UserChanges) -> None:
    access.check_host(host)
    if changes.host is not None:
        access.check_host(changes.host)
    problems = (
        ("name", changes.name is not None and user_name_problem(changes.name)),
        ("password", changes.password is not None and password_problem(changes.password)),
    )
    for what, problem in problems:
        if problem:
            raise BadRequest(reason=f"The {what} of the user {problem}.")
