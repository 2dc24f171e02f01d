"""Backups of servers that are dictionaries: archives and manifests that add up or do not, as real ones."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from coffer.catalogue.errors import BackupDamaged
from coffer.datastores.driver import Archive, UserSpec


@dataclass(frozen=True, slots=True)
class Content:
    """What is backed up of a server."""

    databases: tuple[str, ...]
    users: Mapping[str, UserSpec]


def made(content: Content, parent_manifest: bytes | None) -> tuple[bytes, bytes]:
    """Return an archive and its manifest; the archive names the manifest that it builds on."""
    archive = json.dumps(
        {
            "parent": None if parent_manifest is None else parent_manifest.decode(),
            "databases": content.databases,
            "users": [asdict(user) for user in content.users.values()],
        }
    ).encode()
    return archive, hashlib.sha256(archive).hexdigest().encode()


def restored(archives: Sequence[Archive]) -> Content:
    """Return what the last archive holds.

    Raises:
        BackupDamaged: an archive cannot be read, or does not build on the one before it.
    """
    parent: str | None = None
    fields: dict[str, Any] = {}
    for each in archives:
        with each.open() as stream:
            archive = stream.read()
        try:
            fields = json.loads(archive)
        except ValueError as error:
            raise BackupDamaged(id=each.name, reason="it cannot be read") from error
        if fields["parent"] != parent:
            raise BackupDamaged(id=each.name, reason="it does not build on the one before it")
        parent = hashlib.sha256(archive).hexdigest()
    users = [UserSpec(**{**user, "databases": tuple(user["databases"])}) for user in fields["users"]]
    return Content(tuple(fields["databases"]), {user.name: user for user in users})
