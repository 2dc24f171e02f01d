"""What PostgreSQL takes as names, passwords and encodings; pure, for the API and the driver alike.

Quotes, semicolons, spaces inside, any script: all allowed, because names are quoted by the client library and
never pasted into a statement.
"""

from typing import Final

from coffer.datastores.datastore import Rules
from coffer.datastores.naming import name_problem, text_problem

ADMIN: Final = "os_admin"
"""The role that the guest agent works as; the bootstrap superuser of every server."""
REPLICAS: Final = "os_replica"
"""The role of which all replicas are members; the role of each of them begins so, too."""
ROOT: Final = "postgres"
"""The superuser that a tenant gets when he enables root."""
MAINTENANCE_DATABASE: Final = "postgres"
TEMPLATES: Final = ("template0", "template1")

NAME_LIMIT_BYTES: Final = 63
"""NAMEDATALEN - 1: the server cuts longer names silently, so we refuse them."""
PASSWORD_LIMIT_BYTES: Final = 512

_RESERVED: Final = frozenset({ADMIN, ROOT, "public", "none"})
_FIRST_WITH_INCREMENTAL: Final = 17
_ENCODINGS: Final = frozenset({"utf8", "utf-8", "unicode"})
COLLATIONS: Final = frozenset({"C", "POSIX", "C.UTF-8"})
"""The locales that every machine has; what others a host has installed is not the tenant's to guess."""


def database_name_problem(name: str) -> str | None:
    """Return what is wrong with the name of a database, or None."""
    return name_problem(name, limit_bytes=NAME_LIMIT_BYTES) or _reserved(name, {*_RESERVED, *TEMPLATES})


def user_name_problem(name: str) -> str | None:
    """Return what is wrong with the name of a user, or None."""
    return name_problem(name, limit_bytes=NAME_LIMIT_BYTES) or _reserved(name, _RESERVED)


def password_problem(password: str) -> str | None:
    """Return what is wrong with a password, without quoting it, or None."""
    return text_problem(password, limit_bytes=PASSWORD_LIMIT_BYTES)


def character_set_problem(name: str) -> str | None:
    """Return why a database cannot have this character set, or None."""
    return None if name.lower() in _ENCODINGS else "is not UTF8, the only character set offered"


def collate_problem(name: str) -> str | None:
    """Return why a database cannot have this collation, or None."""
    return None if name in COLLATIONS else f"is none of {', '.join(sorted(COLLATIONS))}"


def _reserved(name: str, words: frozenset[str] | set[str]) -> str | None:
    return "is reserved" if name in words or name.startswith(("pg_", REPLICAS)) else None


def incremental_backup_problem(version: str) -> str | None:
    """Return what is wrong with incremental backups of a version, or None."""
    return None if int(version) >= _FIRST_WITH_INCREMENTAL else f"need PostgreSQL {_FIRST_WITH_INCREMENTAL}"


RULES: Final = Rules(
    database_name=database_name_problem,
    user_name=user_name_problem,
    password=password_problem,
    character_set=character_set_problem,
    collate=collate_problem,
    has_user_hosts=False,
    incremental_backup=incremental_backup_problem,
)
