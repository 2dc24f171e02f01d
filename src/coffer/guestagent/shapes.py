"""The shapes in which databases and users travel over RPC, and what the drivers take and give."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from coffer.catalogue.errors import BadRequest
from coffer.datastores.driver import ANY_HOST, DatabaseSpec, Source, UserChanges, UserRow, UserSpec
from coffer.wire.json import JSON


@dataclass(frozen=True, slots=True)
class NewBackup:
    """A backup to make: the names of its objects, and of the manifest of the one that it builds on."""

    archive: str
    manifest: str
    parent_manifest: str | None


@dataclass(frozen=True, slots=True)
class MadeBackup:
    """A backup to restore; `checksum` is SHA-256, hexadecimal."""

    id: str
    archive: str
    checksum: str


def new_backup_from(value: object) -> NewBackup:
    """Read `{"archive", "manifest", "parent_manifest"?}`.

    Raises:
        BadRequest: it is something else.
    """
    fields = _fields(value, "backup")
    return NewBackup(
        archive=_text(fields, "archive", "backup"),
        manifest=_text(fields, "manifest", "backup"),
        parent_manifest=_optional(fields, "parent_manifest", "backup"),
    )


def made_backup_from(value: object) -> MadeBackup:
    """Read `{"id", "archive", "checksum"}`.

    Raises:
        BadRequest: it is something else.
    """
    fields = _fields(value, "backup")
    return MadeBackup(
        id=_text(fields, "id", "backup"),
        archive=_text(fields, "archive", "backup"),
        checksum=_text(fields, "checksum", "backup"),
    )


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


def changes_from(value: object) -> UserChanges:
    """Read `{"name"?, "password"?, "host"?}`.

    Raises:
        BadRequest: it is something else; the password is not quoted.
    """
    fields = _fields(value, "user")
    return UserChanges(
        name=_optional(fields, "name", "user"),
        password=_optional(fields, "password", "user"),
        host=_optional(fields, "host", "user"),
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


def moment_from(value: object) -> datetime:
    """Read a moment in ISO 8601, with its zone.

    Raises:
        BadRequest: it is something else.
    """
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadRequest(reason="An order without a moment with a zone cannot be followed.")
    return moment.astimezone(UTC)


def parameters_from(value: object) -> dict[str, str]:
    """Read the texts of configuration parameters by their names.

    Raises:
        BadRequest: it is something else.
    """
    fields = _fields(value, "configuration")
    return {name: _text(fields, name, "configuration") for name in fields}


def source_from(value: object) -> Source:
    """Read `{"address", "port", "user", "password", "slot", "administrator_password"}`.

    Raises:
        BadRequest: it is something else; no password is quoted.
    """
    fields = _fields(value, "source")
    port = fields.get("port")
    if not isinstance(port, int) or isinstance(port, bool):
        raise BadRequest(reason="The port of a source is not a number.")
    texts = ("address", "user", "password", "slot", "administrator_password")
    return Source(port=port, **{name: _text(fields, name, "source") for name in texts})


def source_to_json(source: Source) -> dict[str, JSON]:
    """Return what `source_from` reads; secrets are in it."""
    return {
        "address": source.address,
        "port": source.port,
        "user": source.user,
        "password": source.password,
        "slot": source.slot,
        "administrator_password": source.administrator_password,
    }


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
