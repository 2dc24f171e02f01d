"""What a tenant does with his server: logs in and works, with nothing but his name and password."""

import time
from typing import Any

import psycopg
from psycopg import sql

from coffer.datastores.driver import Place


def log_in(place: Place, user: str, password: str, database: str) -> "psycopg.Connection[tuple[Any, ...]]":
    """Open a session as a tenant's user."""
    return psycopg.connect(
        host=place.address,
        port=place.port,
        user=user,
        password=password,
        dbname=database,
        sslmode="disable",
        gssencmode="disable",
        passfile="/dev/null",
        connect_timeout=5,
        autocommit=True,
    )


def write_and_read(place: Place, user: str, password: str, database: str) -> int:
    """Create a table, write a row, read it again."""
    with log_in(place, user, password, database) as session:
        name = sql.Identifier(f"t{time.monotonic_ns()}")
        session.execute(sql.SQL("create table {} (n int)").format(name))
        session.execute(sql.SQL("insert into {} values (42)").format(name))
        row = session.execute(sql.SQL("select n from {}").format(name)).fetchone()
        assert row is not None
        number: int = row[0]
        return number
