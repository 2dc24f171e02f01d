"""The tenant's databases on one server. A database is closed to everybody until a user is granted access."""

from contextlib import suppress
from typing import Final

from psycopg import errors

from coffer.catalogue.errors import BadRequest, CofferError, DatabaseExists, NotFound
from coffer.datastores.driver import DatabaseSpec
from coffer.datastores.postgresql.rules import (
    ADMIN,
    MAINTENANCE_DATABASE,
    character_set_problem,
    collate_problem,
    database_name_problem,
)
from coffer.datastores.postgresql.server import Server
from coffer.datastores.postgresql.session import Session, run

TENANTS: Final = f"not datistemplate and datname <> '{MAINTENANCE_DATABASE}'"
"""Which rows of pg_database are the tenant's."""
_DEFAULT_COLLATE: Final = "C.UTF-8"


def create(server: Server, database: DatabaseSpec) -> None:
    """Create a database; what broke in the middle is removed again.

    Raises:
        BadRequest, DatabaseExists, GuestFailed.
    """
    _check(database)
    collate = database.collate or _DEFAULT_COLLATE
    with server.session() as session:
        try:
            # No connections for the moment in which everybody still may enter; the administrator may anyway.
            run(
                session,
                "create database {} owner {} template template0 encoding 'UTF8'"
                " lc_collate {collate} lc_ctype {collate} connection limit 0",
                database.name,
                ADMIN,
                collate=collate,
            )
        except errors.DuplicateDatabase:
            raise DatabaseExists(name=database.name) from None
        try:
            _close_to_public(server, session, database.name)
        except BaseException:
            with suppress(CofferError):
                delete(server, database.name)
            raise


def finish(server: Server, name: str) -> None:
    """Go on with a database whose creation broke before it was closed to everybody.

    Raises:
        GuestFailed.
    """
    with server.session() as session:
        _close_to_public(server, session, name)


def delete(server: Server, name: str) -> None:
    """Delete a database, ending the sessions in it.

    Raises:
        NotFound, GuestFailed.
    """
    with server.session() as session:
        require(session, name)
        with suppress(errors.InvalidCatalogName):  # somebody else was faster
            run(session, "drop database {} with (force)", name)


def names(server: Server) -> list[str]:
    """Return the tenant's databases in the order of their names' code points.

    Raises:
        GuestFailed.
    """
    with server.session() as session:
        rows = session.execute(
            f'select datname from pg_database where {TENANTS} order by datname collate "C"'  # noqa: S608 — ours
        ).fetchall()
    return [name for (name,) in rows]


def require(session: Session, name: str) -> None:
    """Make sure that the tenant has a database of this name.

    Raises:
        NotFound: he has not.
    """
    # A text that is no possible name cannot be asked for either: the server would refuse it, or cut it.
    found = None
    if database_name_problem(name) is None:
        found = session.execute(
            f"select 1 from pg_database where {TENANTS} and datname = %s",  # noqa: S608 — ours
            (name,),
        ).fetchone()
    if found is None:
        raise NotFound(resource="Database", id=name)


def enterable(session: Session) -> list[str]:
    """Return every database in which the administrator can work, the server's own too."""
    rows = session.execute(
        "select datname from pg_database where datallowconn and datconnlimit <> -2 order by datname"
    ).fetchall()
    return [name for (name,) in rows]


def close_own(server: Server) -> None:
    """Close the databases that the server came with to the tenant's users.

    Raises:
        GuestFailed.
    """
    with server.session() as session:
        run(session, "revoke all on database {}, template1 from public", MAINTENANCE_DATABASE)


def _close_to_public(server: Server, session: Session, name: str) -> None:
    run(session, "revoke all on database {} from public", name)
    with server.session(name) as inside:
        run(inside, "revoke create on schema public from public")
    run(session, "alter database {} connection limit -1", name)


def _check(database: DatabaseSpec) -> None:
    problems = (
        ("name", database_name_problem(database.name)),
        ("character set", database.character_set and character_set_problem(database.character_set)),
        ("collation", database.collate and collate_problem(database.collate)),
    )
    for what, problem in problems:
        if problem:
            raise BadRequest(reason=f"The {what} of the database {problem}.")
