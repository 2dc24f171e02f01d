"""Runs inside Keystone's own virtual environment: sets Keystone up in a directory, and serves it on the loopback.

usage: python keystone_server.py DIRECTORY PORT      (standard input: a line with the administrator's password)

All in one process and its forks, because to import Keystone takes longer than to set it up.
"""

# mypy: ignore-errors

import os
import sys
import traceback
from pathlib import Path

import keystone.api  # noqa: F401 - before the forks, which then need not
import waitress
from keystone.cmd import cli

CONFIGURATION = """\
[database]
connection = sqlite:///{directory}/keystone.db
sqlite_synchronous = false

[fernet_tokens]
key_repository = {directory}/fernet-keys

[credential]
key_repository = {directory}/credential-keys

[identity]
password_hash_rounds = 4

[cache]
enabled = true
backend = dogpile.cache.memory
"""
"""Without the cache a log-in takes a quarter of a second."""


def main() -> None:
    directory, port = Path(sys.argv[1]), int(sys.argv[2])
    password = sys.stdin.readline().strip()
    file = directory / "keystone.conf"
    file.write_text(CONFIGURATION.format(directory=directory))
    account = ("--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid()))
    url = f"http://127.0.0.1:{port}/v3"
    urls = [f"--bootstrap-{kind}-url={url}" for kind in ("public", "internal", "admin")]
    manage(file, "db_sync")
    manage(file, "fernet_setup", *account)
    manage(file, "credential_setup", *account)
    manage(file, "bootstrap", "--bootstrap-password", password, "--bootstrap-region-id", "RegionOne", *urls)
    sys.argv = ["keystone", "--config-file", str(file)]
    from keystone.wsgi.api import application

    waitress.serve(application, host="127.0.0.1", port=port, threads=4, ident=None)


def manage(file: Path, *words: str) -> None:
    """Do what `keystone-manage` does, in a fork: Keystone can be configured only once in a process."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            cli.main(["keystone-manage", "--config-file", str(file), *words])
            status = 0
        finally:
            if status:
                traceback.print_exc()
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise SystemExit(f"keystone-manage {words[0]} failed")


if __name__ == "__main__":
    main()
