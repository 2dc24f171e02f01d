"""`guest.json`: what the local cloud tells a guest agent about its instance, and where its files lie.

The file belongs to the control plane's user and is closed to everybody else, the instance's own user too. So
are the agent's files beside it: a tenant who became superuser of the server runs programs as the instance's
user, and must find nothing that he could replace under the agent's hands. Only `data/` and `log/` are the
instance's own. No secret belongs in here.
"""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

FILE_NAME = "guest.json"
DATA_DIR_NAME = "data"
LOG_DIR_NAME = "log"


class GuestConfigInvalid(Exception):  # noqa: N818 — it states a condition, like the errors of the catalogue
    """A `guest.json` that is missing, unreadable or not what it should be; written for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestConfig:
    """What a guest agent has to know of its instance.

    `uid` and `gid` are what the database server must run as; None means the agent's own user (which is then
    not root). They are bare numbers without a name in the passwd file.
    """

    instance_id: str
    datastore: str
    datastore_version: str
    address: str
    port: int
    ram_mib: int
    volume_gib: int | None
    uid: int | None = None
    gid: int | None = None

    @classmethod
    def load(cls, guest_dir: Path) -> "GuestConfig":
        """Read the file of an instance's directory; entries that a newer version wrote are ignored.

        Raises:
            GuestConfigInvalid: no such file, not readable, or an entry is missing or of the wrong type.
        """
        path = guest_dir / FILE_NAME
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise GuestConfigInvalid(f"{path} cannot be read: {error}") from error
        if not isinstance(found, dict):
            raise GuestConfigInvalid(f"{path} does not hold an object")
        known: dict[str, Any] = {field.name: found.get(field.name) for field in fields(cls)}
        for name, value in known.items():
            if type(value) not in _TYPES[name]:
                raise GuestConfigInvalid(f"{path}: {name} is {value!r}")
        return cls(**known)

    def save(self, guest_dir: Path) -> None:
        """Write the file into an instance's directory: whole or not at all, readable by the writer only.

        Raises:
            OSError: it could not be written; an older file is unharmed.
        """
        text = json.dumps(asdict(self), indent=2) + "\n"
        replace_file(guest_dir / FILE_NAME, text)


_TYPES: dict[str, tuple[type, ...]] = {
    "instance_id": (str,),
    "datastore": (str,),
    "datastore_version": (str,),
    "address": (str,),
    "port": (int,),
    "ram_mib": (int,),
    "volume_gib": (int, type(None)),
    "uid": (int, type(None)),
    "gid": (int, type(None)),
}


def data_dir(guest_dir: Path) -> Path:
    """Return where the database server keeps its data: owned by the instance's user, 0700."""
    return guest_dir / DATA_DIR_NAME


def log_dir(guest_dir: Path) -> Path:
    """Return where the database server writes its log: owned by the instance's user, 0700.

    Nothing that runs as root may open a file in it by name: the instance's user can put a link there.
    """
    return guest_dir / LOG_DIR_NAME


def replace_file(path: Path, text: str) -> None:
    """Write a file of the control plane (0600) so that a reader, or a crash, meets the old or the new text.

    Raises:
        OSError: it could not be written; nothing is left of the attempt.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
