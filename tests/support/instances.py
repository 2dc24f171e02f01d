"""Makes places for real database servers: a directory, a free port and, for root, a user of its own."""

import itertools
import os
import uuid
from pathlib import Path

from tests.support.ports import free_port

from coffer.datastores.driver import EngineSettings, Place

_FIRST_UID = 1_900_000
_uids = itertools.count(_FIRST_UID + (os.getpid() % 10_000) * 50)


def new_place(root: Path, *, version: str = "17", port: int | None = None, ram_mib: int = 128) -> Place:
    """Make the directory of an instance below `root` and return its place."""
    instance_id = str(uuid.uuid4())
    directory = root / "instances" / instance_id
    (root / "instances").mkdir(mode=0o711, exist_ok=True)
    directory.mkdir(mode=0o711)
    uid = next(_uids) if os.geteuid() == 0 else None
    return Place(
        instance_id=instance_id,
        version=version,
        directory=directory,
        address="127.0.0.1",
        port=port or free_port(),
        ram_mib=ram_mib,
        engines=EngineSettings(engines_dir=root / "engines"),
        volume_gib=1,
        uid=uid,
        gid=uid,
    )
