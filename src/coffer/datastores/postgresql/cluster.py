"""Makes the data directory of a new server, complete or not at all."""

import os
import pwd
import subprocess
from pathlib import Path
from typing import Final

from coffer.catalogue.errors import GuestFailed
from coffer.datastores.postgresql.layout import Layout
from coffer.datastores.postgresql.locator import Engine
from coffer.datastores.postgresql.process import ENVIRONMENT
from coffer.datastores.postgresql.reasons import readable, reason_from
from coffer.datastores.postgresql.rules import ADMIN

_INITDB_TIMEOUT_S: Final = 180.0


def initialise(layout: Layout, engine: Engine, password: str) -> None:
    """Make the data directory, with the administrator as its only role.

    `initdb` needs an account with a name, which the instance's bare number is not. So it works as another
    unprivileged account in a draft directory, which changes hands afterwards.

    Raises:
        GuestFailed: with the reason.
    """
    place = layout.place
    password_file = place.directory / "initdb.secret"
    try:
        uid, gid = _initialising_ids(layout)
        layout.remove_draft()
        layout.draft_dir.mkdir(mode=0o700)
        layout.give_to(layout.draft_dir, uid, gid)
        _write_secret(password_file, password, uid, gid)
        _run_initdb(layout, engine, password_file, uid=uid, gid=gid)
        layout.give_to(layout.draft_dir, place.uid, place.gid)
        layout.draft_dir.rename(layout.data_dir)
    except OSError as error:
        reason = readable(error.strerror or type(error).__name__, place)
        raise GuestFailed(reason=f"The data directory could not be made: {reason}.") from error
    finally:
        password_file.unlink(missing_ok=True)


def _initialising_ids(layout: Layout) -> tuple[int | None, int | None]:
    if layout.place.uid is None:
        return None, None
    account = layout.place.engines.initialising_account
    try:
        entry = pwd.getpwnam(account)
    except KeyError as error:
        raise GuestFailed(reason=f"The account {account} is not on this host.") from error
    return entry.pw_uid, entry.pw_gid


def _write_secret(path: Path, secret: str, uid: int | None, gid: int | None) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(secret)
        if uid is not None and gid is not None:
            os.fchown(handle, uid, gid)


def _run_initdb(
    layout: Layout, engine: Engine, password_file: Path, *, uid: int | None, gid: int | None
) -> None:
    command = [
        *(engine.tool("initdb"), "-D", str(layout.draft_dir), "-U", ADMIN, "-A", "scram-sha-256"),
        *("--pwfile", str(password_file), "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums"),
    ]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_INITDB_TIMEOUT_S,
            check=False,
            cwd="/",
            env=dict(ENVIRONMENT),
            umask=0o077,
            user=uid,
            group=gid,
            extra_groups=None if uid is None else (),
        )
    except subprocess.TimeoutExpired as error:
        raise GuestFailed(reason="The data directory could not be made in time.") from error
    if done.returncode != 0:
        reason = reason_from(done.stderr, layout.place)
        raise GuestFailed(reason=f"The data directory could not be made: {reason}.")
