"""The engine's superuser for the tenant: the role `postgres`, which no server has until he asks for it."""

import secrets
from contextlib import suppress

from psycopg import errors

from coffer.catalogue.errors import BadRequest
from coffer.datastores.driver import Credentials
from coffer.datastores.postgresql.rules import ROOT, password_problem
from coffer.datastores.postgresql.server import Server
from coffer.datastores.postgresql.session import end_sessions, run, verifier


def enable(server: Server, password: str | None) -> Credentials:
    """Let the tenant log in as superuser; done again, it changes the password.

    Raises:
        BadRequest, GuestFailed.
    """
    chosen = secrets.token_urlsafe(24) if password is None else password
    problem = password_problem(chosen)
    if problem:
        raise BadRequest(reason=f"The password of the superuser {problem}.")
    with server.session() as session:
        with suppress(errors.DuplicateObject):
            run(session, "create role {} superuser", ROOT)
        stored = verifier(session, ROOT, chosen)
        run(session, "alter role {} superuser login password {stored}", ROOT, stored=stored)
    return Credentials(name=ROOT, password=chosen)


def disable(server: Server) -> None:
    """Let nobody log in as superuser any more, and end the sessions of whoever has; idempotent.

    The role stays, for what the tenant made with it is his. Superusers that he has made himself stay too.

    Raises:
        GuestFailed.
    """
    with server.session() as session:
        with suppress(errors.UndefinedObject):
            run(session, "alter role {} nosuperuser nologin password null", ROOT)
        end_sessions(session, ROOT)


def is_enabled(server: Server) -> bool:
    """Return whether the tenant can log in as superuser.

    Raises:
        GuestFailed.
    """
    with server.session() as session:
        found = session.execute(
            "select 1 from pg_roles where rolname = %s and rolsuper and rolcanlogin", (ROOT,)
        ).fetchone()
    return found is not None
