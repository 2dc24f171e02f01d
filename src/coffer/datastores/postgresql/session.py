"""The agent's own sessions on the server, and what becomes of their errors.

An error of the client library can quote the statement that failed, and a statement can hold what a password
was made into; so it never travels on, not even as the cause of ours.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, LiteralString

import psycopg
from psycopg import errors, sql

from coffer.catalogue.errors import GuestFailed
from coffer.datastores.driver import Place, Source
from coffer.datastores.postgresql.reasons import readable
from coffer.datastores.postgresql.rules import ADMIN, MAINTENANCE_DATABASE

Session = psycopg.Connection[tuple[Any, ...]]

_CONNECT_TIMEOUT_S: Final = 5
_FIRST_WITH_NEWER_SWITCHES: Final = 17
_OPTIONS: Final = {
    # A tenant's objects must not be taken for the server's own by a session of the administrator.
    "search_path": "pg_catalog,pg_temp",
    "statement_timeout": "60s",
    "lock_timeout": "30s",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_min_duration_statement": "-1",
    # A server whose volume is full, or whose tenant wants it so, is read-only for the tenant and not for us.
    "default_transaction_read_only": "off",
    # A replica refuses every statement of a serializable transaction.
    "default_transaction_isolation": "read committed",
    # Nor does a tenant's configuration group end our sessions, or change what we read.
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "tcp_user_timeout": "0",
    "datestyle": "iso",
    "intervalstyle": "postgres",
    "timezone": "utc",
    "standard_conforming_strings": "on",
}

_REPLICAS_OPTIONS: Final = {
    **{
        name: _OPTIONS[name]
        for name in ("search_path", "lock_timeout", "idle_session_timeout", "tcp_user_timeout")
    },
    "statement_timeout": "30s",
}
"""Of a role that may set only what every user may."""


def open_session(
    place: Place, password: str, database: str, *, at: str | None = None, user: str = ADMIN
) -> Session:
    """Log in as the administrator, every statement a transaction of its own.

    `at` is the directory of a socket, where it is not the instance's address.

    Raises:
        psycopg.Error: no server, or it does not let us in.
    """
    options = dict(_OPTIONS)
    if int(place.version) >= _FIRST_WITH_NEWER_SWITCHES:
        options["event_triggers"] = "off"
        options["transaction_timeout"] = "0"
    return psycopg.connect(
        host=at or place.address,
        port=place.port,
        user=user,
        password=password,
        dbname=database,
        sslmode="disable",
        gssencmode="disable",
        passfile="/dev/null",
        client_encoding="utf8",
        connect_timeout=_CONNECT_TIMEOUT_S,
        application_name="coffer",
        options=_words(options),
        autocommit=True,
    )


def open_replicas_session(source: Source) -> Session:
    """Log in on another server as one of its replicas, which may do very little there.

    Raises:
        psycopg.Error: no server, or it does not let us in.
    """
    return psycopg.connect(
        host=source.address,
        port=source.port,
        user=source.user,
        password=source.password,
        dbname=MAINTENANCE_DATABASE,
        sslmode="disable",
        gssencmode="disable",
        passfile="/dev/null",
        client_encoding="utf8",
        connect_timeout=_CONNECT_TIMEOUT_S,
        application_name="coffer",
        options=_words(_REPLICAS_OPTIONS),
        autocommit=True,
    )


def _words(options: Mapping[str, str]) -> str:
    """Return options as the client library takes them: a space ends a word, unless it is escaped."""
    return " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in options.items())


@contextmanager
def explained(place: Place) -> Iterator[None]:
    """Turn what the server refuses into a reason without the statement.

    Raises:
        GuestFailed: instead of any error of the client library.
    """
    try:
        yield
    except errors.DiskFull:
        raise GuestFailed(reason="The database server has no space left.") from None
    except errors.QueryCanceled:
        raise GuestFailed(reason="The database server did not do it in time.") from None
    except psycopg.Error as error:
        said = error.diag.message_primary or type(error).__name__
        raise GuestFailed(reason=f"The database server refused: {readable(said, place)}.") from None


def run(session: Session, statement: LiteralString, *names: str, **literals: str) -> None:
    """Execute a statement that takes no parameters; `{}` are identifiers, `{name}` are literals."""
    session.execute(
        sql.SQL(statement).format(
            *(sql.Identifier(name) for name in names),
            **{key: sql.Literal(value) for key, value in literals.items()},
        )
    )


def end_sessions(session: Session, user: str, *, database: str | None = None) -> None:
    """End the sessions of a user, or only those in one database."""
    session.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where usename = %s and (%s::text is null or datname = %s)",
        (user, database, database),
    )


def verifier(session: Session, user: str, password: str) -> str:
    """Return what the server stores instead of a password, so that the password never leaves this process."""
    return session.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256").decode()
