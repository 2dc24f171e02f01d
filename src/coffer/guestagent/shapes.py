"""The shapes in which databases and users travel over RPC, and what the drivers take and give."""

from collections.abc import Iterable, Mapping
from typing import Any

from coffer.catalogue.errors import BadRequest
from coffer.datastores.driver import ANY_HOST, DatabaseSpec, UserRow, UserSpec
from coffer.wire.json import JSON


def database_from(value: object) -> DatabaseSpec:
    """Read `{"name", "character_set"?, "collate"?}`.

    Raises:
        BadRequest: it is something else.
    """
    fields = _fields(value, "database")
    return DatabaseSpec(
        name=_text(fields, "name", "database"),
        character_set=_optional(fields, "character_set", "database"),
        collate=_optional(fields, "collate", "database"),
    )


def user_from(value: object) -> UserSpec:
    """Read `{"name", "password", "host"?, "databases"?: [{"name"}]}`.

    Raises:
        BadRequest: it is something else; the password is not quoted.
    """
    fields = _fields(value, "user")
    databases = fields.get("databases") or []
    if not isinstance(databases, list):
        raise BadRequest(reason="The databases of a user are not a list.")
    return UserSpec(
        name=_text(fields, "name", "user"),
        password=_text(fields, "password", "user"),
        host=host_from(fields.get("host")),
        databases=tuple(database_from(each).name for each in databases),
    )


def host_from(value: object) -> str:
    """Read a host; nothing means every host.

    Raises:
        BadRequest: it is no text.
    """
    if value is None or value == "":
        return ANY_HOST
    if not isinstance(value, str):
        raise BadRequest(reason="The host of a user is not a text.")
    return value


def names_to_json(names: Iterable[str]) -> list[JSON]:
    """Return `[{"name"}]`."""
    return [{"name": name} for name in names]


def user_to_json(user: UserRow) -> dict[str, JSON]:
    """Return `{"name", "host", "databases": [{"name"}]}`."""
    return {"name": user.name, "host": user.host, "databases": names_to_json(user.databases)}


def _fields(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadRequest(reason=f"A {what} is not an object.")
    return value


def _text(fields: Mapping[str, Any], key: str, what: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        raise BadRequest(reason=f"The {key} of a {what} is not a text.")
    return value


def _optional(fields: Mapping[str, Any], key: str, what: str) -> str | None:
    return None if fields.get(key) is None else _text(fields, key, what)
