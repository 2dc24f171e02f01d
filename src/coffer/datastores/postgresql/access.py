"""Who may work in which database of one server."""

from typing import Final

from coffer.catalogue.errors import BadRequest, NotFound
from coffer.datastores.driver import ANY_HOST
from coffer.datastores.postgresql import databases
from coffer.datastores.postgresql.rules import ADMIN, REPLICAS, ROOT, user_name_problem
from coffer.datastores.postgresql.server import Server
from coffer.datastores.postgresql.session import Session, end_sessions, run

TENANTS: Final = f"rolname !~ '^(pg_|{REPLICAS})' and rolname not in ('{ADMIN}', '{ROOT}')"
"""Which rows of pg_roles are the tenant's users."""


def let_in(server: Server, name: str, host: str, database: str) -> None:
    """Let a user work in a database; done again, it changes nothing.

    Raises:
        BadRequest (a host), NotFound (user or database), GuestFailed.
    """
    check_host(host)
    with server.session() as session:
        require_user(session, name)
        databases.require(session, database)
        grant(server, session, user=name, database=database)


def keep_out(server: Server, name: str, host: str, database: str) -> None:
    """Keep a user out of a database, and end his sessions in it; what he made in it stays.

    Raises:
        BadRequest: a host; or he gets in all the same, by what the tenant did as superuser.
        NotFound: no such user or database, or he could not enter it.
        GuestFailed.
    """
    check_host(host)
    with server.session() as session:
        require_user(session, name)
        databases.require(session, database)
        if not _may_enter(session, name, database):
            raise NotFound(resource=f"Access of user {name} to database", id=database)
        # The door first: should the second step fail, he is out.
        run(session, "revoke all privileges on database {} from {}", database, name)
        with server.session(database) as inside:
            run(inside, "revoke all on schema public from {}", name)
        if _may_enter(session, name, database):
            reason = f"User {name} is a superuser, an owner or a member of a role that may enter {database}."
            raise BadRequest(reason=reason)
        end_sessions(session, name, database=database)


def grant(server: Server, session: Session, *, user: str, database: str) -> None:
    """Let a user who is there work in a database that is there.

    Raises:
        GuestFailed.
    """
    # Since PostgreSQL 15 a right on the database is no right to create anything in its schema `public`.
    with server.session(database) as inside:
        run(inside, "grant all on schema public to {}", user)
    run(session, "grant all privileges on database {} to {}", database, user)


def require_user(session: Session, name: str) -> None:
    """Make sure that the tenant has a user of this name.

    Raises:
        NotFound: he has not.
    """
    # A text that is no possible name cannot be asked for either: the server would refuse it, or cut it.
    found = None
    if user_name_problem(name) is None:
        found = session.execute(
            f"select 1 from pg_roles where {TENANTS} and rolname = %s",  # noqa: S608 — ours
            (name,),
        ).fetchone()
    if found is None:
        raise NotFound(resource="User", id=name)


def check_host(host: str) -> None:
    """Refuse every host but the one that means all of them.

    Raises:
        BadRequest.
    """
    if host != ANY_HOST:
        raise BadRequest(reason=f"PostgreSQL's users have no host: leave it out, or give {ANY_HOST}.")


def _may_enter(session: Session, name: str, database: str) -> bool:
    asked = session.execute("select has_database_privilege(%s::name, %s::text, 'connect')", (name, database))
    return asked.fetchone() == (True,)
