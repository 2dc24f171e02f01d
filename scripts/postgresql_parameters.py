"""Writes which parameters a configuration group may hold, by asking a real server of each version.

usage: .venv/bin/python scripts/postgresql_parameters.py [directory with postgres and initdb ...]

Asks the servers in the given directories and those that coffer finds by itself. Versions that this machine does not
have keep their file.
"""

import json
import os
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from coffer.datastores.driver import EngineSettings, Place
from coffer.datastores.parameters import Parameter
from coffer.datastores.postgresql.locator import installed_versions
from coffer.datastores.postgresql.offering import DATA_DIR, QUERY, Setting, offered, to_json
from coffer.datastores.postgresql.server import Server

UID = 1_990_000
"""As whom the servers run if we are root; they never are."""


def main(bin_dirs: Sequence[Path]) -> None:
    """Write a file for each version that is here."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        root.chmod(0o711)
        engines = EngineSettings(engines_dir=root / "engines", bin_dirs=tuple(bin_dirs))
        for version in sorted(installed_versions(engines), key=int):
            path = DATA_DIR / f"{version}.json"
            found = ask(root, version, engines)
            path.write_text(text_of(found), encoding="utf-8")
            sys.stdout.write(f"{path.name}: {len(found)} parameters\n")


def ask(root: Path, version: str, engines: EngineSettings) -> dict[str, Parameter]:
    """Make a server, ask it, stop it; what is left of it lies in `root`."""
    directory = root / f"postgresql-{version}"
    directory.mkdir(mode=0o711)
    uid = UID if os.geteuid() == 0 else None
    server = Server(
        Place(
            instance_id=directory.name,
            version=version,
            directory=directory,
            address="127.0.0.1",
            port=_free_port(),
            ram_mib=256,
            engines=engines,
            uid=uid,
            gid=uid,
        )
    )
    server.initialise()
    server.start()
    try:
        with server.session() as session:
            return offered(Setting(*row) for row in session.execute(QUERY))
    finally:
        server.stop()


def text_of(parameters: Mapping[str, Parameter]) -> str:
    """Return the text of a file: a parameter a line."""
    rows = [
        f"  {json.dumps(name)}: {json.dumps(to_json(parameter))}" for name, parameter in parameters.items()
    ]
    return "{\n" + ",\n".join(rows) + "\n}\n"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main([Path(each) for each in sys.argv[1:]])
