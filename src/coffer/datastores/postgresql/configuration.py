"""The configuration group of one server: tried first, then written beside its own configuration, then loaded.

A bad file would be ignored by a running server and be fatal to its next start, which may be a crash's. So the server's
own program reads the values first, on a directory that holds nothing of the tenant's but the size of his files.
"""

import logging
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from coffer.catalogue.errors import GuestFailed, InvalidParameter
from coffer.datastores.driver import Place
from coffer.datastores.postgresql import process
from coffer.datastores.postgresql.reasons import readable, reason_from
from coffer.datastores.postgresql.server import Server
from coffer.datastores.postgresql.settings import escaped, pinned_settings, server_settings

LOG = logging.getLogger(__name__)

FILE_NAME: Final = "conf.d/10-configuration-group.conf"
_TRIAL_TIMEOUT_S: Final = 20.0
_RELOAD_TIMEOUT_S: Final = 10.0
_NOT_COPIED: Final = 97
_TRIAL: Final = """\
umask 077
mkdir "$2/global" && cp "$1/PG_VERSION" "$2" && cp "$1/global/pg_control" "$2/global" || exit 97
shift 2
exec "$@"
"""
"""Runs as the instance's user, so that a link in his directory leads to nothing new; $1 is his data, $2 the trial's."""
_FIRST_THAT_ADDS_UP: Final = 15
"""From this version on the program can say how much shared memory it would take."""

_WAITING: Final = """\
select 1 from pg_settings setting
where pending_restart and case
    when exists (select from pg_file_settings entry where lower(entry.name) = lower(setting.name))
    then exists (
        select from pg_file_settings entry
        where lower(entry.name) = lower(setting.name) and not applied and error is not null
    )
    else setting.setting is distinct from boot_val
end
limit 1
"""
"""Not `pending_restart` alone: the server says it of what was taken back before it ever counted, too."""


def check(server: Server, parameters: Mapping[str, str]) -> None:
    """Let the server's program say whether it would start with `parameters`; the server itself is not touched.

    Raises:
        InvalidParameter: it would not, or it would need more memory than its flavor has.
        GuestFailed: it cannot be asked.
    """
    _require_room_for_prepared(server, parameters)
    if not parameters:
        return
    said = _tried(server, parameters)
    if int(server.place.version) < _FIRST_THAT_ADDS_UP:
        return
    needed_mib = int(said)
    if needed_mib > server.place.ram_mib:
        raise InvalidParameter(
            reason=f"With these parameters the server needs {needed_mib} MiB of shared memory; "
            f"its flavor has {server.place.ram_mib} MiB."
        )


def apply(server: Server, parameters: Mapping[str, str], *, is_restarting: bool = False) -> bool:
    """Let the server run with `parameters` and its own settings otherwise; return whether it waits for a restart.

    A server that is down starts with them the next time, and so does one that `is_restarting`.

    Raises:
        InvalidParameter: see `check`; everything is as before.
        GuestFailed: it did not read them; everything is as before.
    """
    check(server, parameters)
    with _replaced(server, _text_of(parameters)):
        if is_restarting or process.find(server.layout) is None:
            return False
        waits = _reload(server)
    LOG.info(
        "configuration applied instance_id=%s parameters=%d restart_required=%s",
        server.place.instance_id,
        len(parameters),
        waits,
    )
    return waits


def _require_room_for_prepared(server: Server, parameters: Mapping[str, str]) -> None:
    """Refuse what leaves no room for the transactions that are prepared: the server would not start any more."""
    if process.find(server.layout) is None:
        return
    count = 0
    # One that does not answer is restarted nevertheless: nothing else may help.
    with suppress(GuestFailed), server.session() as session:
        (count,) = session.execute("select count(*) from pg_prepared_xacts").fetchone() or (0,)
    if count > float(parameters.get("max_prepared_transactions", "0")):
        raise InvalidParameter(
            reason=f"{count} prepared transactions have not ended: until then "
            f"max_prepared_transactions must be {count} at least."
        )


def _tried(server: Server, parameters: Mapping[str, str]) -> str:
    place, layout = server.place, server.layout
    settings = server_settings(version=place.version, ram_mib=place.ram_mib, volume_gib=place.volume_gib)
    pinned = pinned_settings(conf_dir=layout.conf_dir, address=place.address, port=place.port)
    # Without the files in force, which hold the group as it was.
    values = {**settings, **parameters, **pinned, "config_file": "/dev/null"}
    asked = "shared_memory_size" if int(place.version) >= _FIRST_THAT_ADDS_UP else "max_connections"
    with _disk_explained(server.place):
        trial_dir = Path(tempfile.mkdtemp(prefix="trial-", dir=place.directory))
        try:
            layout.give_to(trial_dir, place.uid, place.gid)
            command = [server.engine().tool("postgres"), "-D", str(trial_dir), "-C", asked]
            command += [word for name, value in values.items() for word in ("-c", f"{name}={value}")]
            done = _run(
                server, ["/bin/sh", "-c", _TRIAL, "sh", str(layout.data_dir), str(trial_dir), *command]
            )
        finally:
            shutil.rmtree(trial_dir)
    if done.returncode == _NOT_COPIED:
        raise GuestFailed(reason="The server's parameters cannot be tried: its data directory is not whole.")
    if done.returncode != 0:
        raise InvalidParameter(reason=f"The server does not take it: {reason_from(done.stderr, place)}.")
    return done.stdout.strip()


def _run(server: Server, command: list[str]) -> "subprocess.CompletedProcess[str]":
    place = server.place
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TRIAL_TIMEOUT_S,
            check=False,
            cwd="/",
            env=dict(process.ENVIRONMENT),
            user=place.uid,
            group=place.uid if place.gid is None else place.gid,
            extra_groups=None if place.uid is None else (),
        )
    except subprocess.TimeoutExpired as error:
        raise GuestFailed(reason="The server's parameters could not be tried in time.") from error


@contextmanager
def _replaced(server: Server, text: str | None) -> Iterator[None]:
    """Write the group's file, or remove it (None); if the block fails, it is as before."""
    layout = server.layout
    path = layout.conf_dir / FILE_NAME

    def write(wanted: str | None) -> None:
        with _disk_explained(server.place):
            if wanted is None:
                path.unlink(missing_ok=True)
            else:
                layout.make_conf()
                layout.write_conf(FILE_NAME, wanted)

    with _disk_explained(server.place):
        before = path.read_text(encoding="utf-8") if path.exists() else None
    write(text)
    try:
        yield
    except GuestFailed:
        write(before)
        process.reload(layout)
        raise


def _reload(server: Server) -> bool:
    """Have the server read its files; return whether something waits for a restart."""
    with server.session() as session:
        (before,) = session.execute("select pg_conf_load_time()").fetchone() or (None,)

        def is_read() -> bool:
            return session.execute("select pg_conf_load_time()").fetchone() != (before,)

        session.execute("select pg_reload_conf()")
        # This session hears of it after the postmaster has read them, so every later session has them too.
        if not process.wait_for(is_read, _RELOAD_TIMEOUT_S):
            raise GuestFailed(reason="The database server does not read its configuration.")
        pending = session.execute(_WAITING).fetchone()
    return pending is not None


@contextmanager
def _disk_explained(place: Place) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = readable(error.strerror or type(error).__name__, place)
        raise GuestFailed(reason=f"The instance's directory cannot be used: {said}.") from error


def _text_of(parameters: Mapping[str, str]) -> str | None:
    if not parameters:
        return None
    lines = ["# Written by coffer: the instance's configuration group."]
    lines += [f"{name} = '{escaped(value)}'" for name, value in sorted(parameters.items())]
    return "\n".join([*lines, ""])
