"""Makes data those of another server: copied as a whole, or rewound to where they were the same.

The programs work as the instance's user, and log in with what lies in the replica's password file. Each works in the
directory that it writes, so that one which survived its agent is found there, and ended, by the next.
"""

import logging
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from coffer.catalogue.errors import GuestFailed
from coffer.datastores.driver import Source
from coffer.datastores.postgresql import process
from coffer.datastores.postgresql.programs import IsGivenUp, running, secret_file, while_there_is_space
from coffer.datastores.postgresql.reasons import reason_from
from coffer.datastores.postgresql.rules import MAINTENANCE_DATABASE
from coffer.datastores.postgresql.server import Server

LOG = logging.getLogger(__name__)

_CLONE_TIMEOUT_S: Final = 6 * 3600.0
_REWIND_TIMEOUT_S: Final = 150.0
_KILL_TIMEOUT_S: Final = 5.0


def clone(server: Server, source: Source, *, is_given_up: IsGivenUp) -> None:
    """Make the data directory as a copy of the source's; what was there before is gone only when it is complete.

    Raises:
        GuestFailed: the source refused, no space, or given up.
    """
    layout = server.layout
    draft = layout.draft_dir
    with server.disk_explained():
        for directory in (draft, layout.data_dir):
            if not process.kill_all(layout, _KILL_TIMEOUT_S, directory):
                raise GuestFailed(reason="What an earlier agent began cannot be ended.")
        layout.remove_draft()
        draft.mkdir(mode=0o700)
        layout.make_own(draft)
        command = [
            *(server.engine().tool("pg_basebackup"), "-h", source.address, "-p", str(source.port)),
            *("-U", source.user, "-w", "-D", str(draft), "-F", "plain", "-X", "stream", "-S", source.slot),
            *("-c", "fast", "-l", "coffer", "--no-manifest"),
        ]
        asked = while_there_is_space(server.place, is_given_up)
        try:
            _run(server, command, draft, "copied", timeout_s=_CLONE_TIMEOUT_S, is_given_up=asked)
        except GuestFailed:
            layout.remove_draft()  # the space is what may have been lacking
            raise
        layout.remove_data()
        draft.rename(layout.data_dir)
        layout.broken_file.unlink(missing_ok=True)
    LOG.info("data cloned instance_id=%s", server.place.instance_id)


def recover(server: Server) -> None:
    """Let a source that was killed come to a clean end; nobody can log in meanwhile.

    Raises:
        GuestFailed: it does not.
    """
    place, data = server.place, server.layout.data_dir
    with (
        server.disk_explained(),
        secret_file(place, "recover.hba", b"host all all all reject\n") as hba_file,
        running(place, _closed(server, hba_file), working_dir=data) as program,
    ):

        def settled() -> bool:
            found = process.find(server.layout)
            return program.child.poll() is not None or (found is not None and found.is_ready)

        process.wait_for(settled, _REWIND_TIMEOUT_S)
        program.child.send_signal(signal.SIGINT)
        if not program.ended(timeout_s=_REWIND_TIMEOUT_S, is_given_up=lambda: False):
            reason = reason_from(program.complaints(), place)
            raise GuestFailed(reason=f"The data could not be recovered: {reason}.")


def _closed(server: Server, hba_file: Path) -> list[str]:
    # Not the server's mode for a single user: that wants the instance's user to have a name.
    options = [*server.options(), "-c", f"hba_file={hba_file}", "-c", "autovacuum=off"]
    return [server.engine().tool("postgres"), "-D", str(server.layout.data_dir), *options]


def rewind(server: Server, source: Source) -> None:
    """Take back what the data have and the source has not; the server is down.

    Raises:
        GuestFailed: that cannot be; the data are as they were, unless it broke off in the middle.
    """
    layout = server.layout
    target = f"{server.standby.conninfo(source)} dbname={MAINTENANCE_DATABASE}"
    command = [
        *(server.engine().tool("pg_rewind"), "-D", str(layout.data_dir), f"--source-server={target}"),
        "--no-ensure-shutdown",
    ]
    with server.disk_explained():
        # Tried first, for a rewind that fails in the middle leaves nothing that could be started.
        _run(server, [*command, "--dry-run"], layout.data_dir, "rewound", timeout_s=_REWIND_TIMEOUT_S)
        layout.broken_file.touch()
        _run(server, command, layout.data_dir, "rewound", timeout_s=_REWIND_TIMEOUT_S)
        layout.broken_file.unlink()
    LOG.warning("data rewound instance_id=%s", server.place.instance_id)


def _run(
    server: Server,
    command: Sequence[str],
    working_dir: Path,
    done: str,
    *,
    timeout_s: float,
    is_given_up: IsGivenUp = lambda: False,
) -> None:
    environment = {
        "PGPASSFILE": str(server.layout.replica_secret_file),
        "PGSSLMODE": "disable",
        "PGGSSENCMODE": "disable",
    }
    with running(
        server.place, command, stdin=subprocess.DEVNULL, environment=environment, working_dir=working_dir
    ) as program:
        if not program.ended(timeout_s=timeout_s, is_given_up=is_given_up):
            reason = reason_from(program.complaints(), server.place)
            raise GuestFailed(reason=f"The data could not be {done}: {reason}.")
