"""A MariaDB or MySQL server as every part of coffer speaks to it: its session, its TLS, words for its errors.

Below all floors and standard library only, since the control plane's store and the collector must not know
each other and both need it.
"""

import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any

SCHEMES = ("mysql", "mariadb")
DRIVER = "mysql+pymysql"
"""PyMySQL, whichever of the two the URL names; SQLAlchemy asks the server which it is."""

LOCK_WAIT_S = 10
"""How long a statement waits for a row that another transaction holds."""
_TABLE_LOCK_WAIT_S = 60
_CONNECT_S = 5
_ANSWER_S = 60
"""More than any statement waits; a server that is frozen must not hold a thread for ever."""

# Strict, whatever the server was told: a value that does not fit is refused and not cut. Without the modes that
# would change what quotes and backslashes mean. All that a transaction sees is in UTC (DATETIME has no zone).
_MODES = "STRICT_ALL_TABLES,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO"
_SETTINGS = (
    f"SET SESSION sql_mode = '{_MODES},NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', "
    f"innodb_lock_wait_timeout = {LOCK_WAIT_S}, lock_wait_timeout = {_TABLE_LOCK_WAIT_S}"
)

WRITING = (_SETTINGS, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
"""A compare-and-set needs READ COMMITTED: the loser waits for the winner and then finds the row changed."""
READING = (_SETTINGS, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
"""A snapshot, taken with the first statement, that cannot write."""

_FOUND_ROWS = 1 << 1
"""The row count of an UPDATE is that of the rows it found, changed or not: a compare-and-set counts on it."""

_CONTENTION = {
    1205: "a lock was not granted in time",
    1213: "two transactions were in each other's way",
    1412: "its tables have changed meanwhile",
}

_TROUBLES = {
    1021: "no space is left",
    1026: "its disk failed",
    1037: "it is out of resources",
    1038: "it is out of resources",
    1040: "it is out of resources",
    1041: "it is out of resources",
    1044: "the login was refused",
    1045: "the login was refused",
    1047: "its cluster is not ready",
    1049: "there is no such database",
    1053: "it is starting, stopping or was told to stop the statement",
    1114: "no space is left",
    1129: "it refuses this host",
    1130: "it refuses this host",
    1158: "the connection was lost",
    1159: "the connection was lost",
    1160: "the connection was lost",
    1161: "the connection was lost",
    1203: "it is out of resources",
    1226: "it is out of resources",
    1290: "it is read-only",
    1317: "it is starting, stopping or was told to stop the statement",
    1698: "the login was refused",
    1836: "it is read-only",
    1927: "the connection was lost",
    1969: "it is starting, stopping or was told to stop the statement",
    2002: "it cannot be reached",
    2003: "it cannot be reached",
    2005: "it cannot be reached",
    2006: "the connection was lost",
    2013: "the connection was lost",
    2014: "the connection was lost",
    2026: "TLS could not be agreed on",
    2055: "the connection was lost",
    3024: "it is starting, stopping or was told to stop the statement",
    3159: "it wants TLS",
    4031: "the connection was lost",
}
"""By error number. Source: MariaDB's and MySQL's lists of server and client errors."""


def connect_arguments(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return what PyMySQL is told beside what the URL says.

    Without `ssl_*` in the URL's `query` there is no TLS: the driver would try it and go on without, which protects
    from nobody and takes longer than everything else about a connection.

    Raises:
        ValueError: if a file that the URL names for TLS cannot be used.
    """
    arguments: dict[str, Any] = {"charset": "utf8mb4", "client_flag": _FOUND_ROWS, "use_unicode": True}
    for name, limit_s in (
        ("connect_timeout", _CONNECT_S),
        ("read_timeout", _ANSWER_S),
        ("write_timeout", _ANSWER_S),
    ):
        arguments[name] = int(query.get(name, limit_s))
    tls = _tls(query)
    return {**arguments, "ssl_disabled": True} if tls is None else {**arguments, "ssl": tls}


def configure(settings: Sequence[str]) -> Callable[[Any, object], None]:
    """Return what makes a new connection execute `settings`, as a listener to SQLAlchemy's `connect`."""

    def listener(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            for setting in settings:
                cursor.execute(setting)

    return listener


def plain_query(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return the URL's `query` without what `connect_arguments` has dealt with."""
    return {name: value for name, value in query.items() if not name.startswith("ssl")}


def _tls(query: Mapping[str, Any]) -> ssl.SSLContext | None:
    asked = {name: str(value) for name, value in query.items() if name.startswith("ssl")}
    if not asked:
        return None
    unknown = asked.keys() - {"ssl_ca", "ssl_cert", "ssl_key", "ssl_check_hostname"}
    if unknown:
        raise ValueError(f"the database's URL asks for TLS in unknown words: {', '.join(sorted(unknown))}")
    try:
        context = ssl.create_default_context(cafile=asked.get("ssl_ca"))
        if "ssl_cert" in asked:
            context.load_cert_chain(asked["ssl_cert"], asked.get("ssl_key"))
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(f"a file that the database's URL names for TLS cannot be used: {reason}") from None
    if asked.get("ssl_check_hostname", "true").lower() in {"false", "no", "off", "0"}:
        context.check_hostname = False
    return context


def error_number(error: BaseException | None) -> int | None:
    """Return the number of an error that PyMySQL raised; None for another driver's."""
    if error is None or not type(error).__module__.startswith("pymysql"):
        return None
    number = error.args[0] if error.args else None
    return number if isinstance(number, int) else None


def trouble(number: int | None) -> str | None:
    """Say what is wrong with the server; None if it is not the server's trouble but the statement's."""
    return None if number is None else _TROUBLES.get(number) or _CONTENTION.get(number)


def is_contention(number: int | None) -> bool:
    """Whether another transaction was in the way, so that the same one again may go through."""
    return number in _CONTENTION


def let_go_when_undone(context: Any) -> None:
    """Drop the connection of a transaction that the server has undone, as a listener to SQLAlchemy's `handle_error`.

    After a deadlock the server has forgotten the transaction with all of its savepoints. A caller who went on
    would write the rest of it alone, and the rollback to a savepoint would be the error that is told.
    """
    if is_contention(error_number(context.original_exception)):
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False
