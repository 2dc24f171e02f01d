"""Whether this machine can hold instances as configured; asked once, before the service starts."""

import os
import stat
from pathlib import Path

from coffer.clouds.cloud import CloudMisconfigured
from coffer.clouds.local.layout import Layout
from coffer.clouds.local.settings import LocalSettings

UID_MAP = Path("/proc/self/uid_map")


def check(layout: Layout, settings: LocalSettings, *, separate_users: bool, uid_map: Path = UID_MAP) -> None:
    """Make the shared directories and verify what instances need.

    Raises:
        CloudMisconfigured: in words for the operator.
    """
    _check_ports(settings)
    try:
        layout.make(traversable=separate_users)
    except OSError as error:
        raise CloudMisconfigured(
            f"The directory {error.filename} cannot be prepared ({error.strerror}); "
            f"make {layout.root} writable for the control plane or choose another state directory."
        ) from error
    if separate_users:
        check_uids(settings, uid_map)
        _check_traversable(layout.root)


def _check_ports(settings: LocalSettings) -> None:
    ports = settings.ports
    if not ports or ports[0] < 1 or ports[-1] > 65535:  # noqa: PLR2004 — the highest port
        raise CloudMisconfigured(f"{ports.start}-{ports.stop - 1} is no range of ports (1 to 65535).")


def check_uids(settings: LocalSettings, uid_map: Path) -> None:
    """Verify that the user ids exist: a container may map few numbers, and chown to any other fails there.

    Raises:
        CloudMisconfigured: in words for the operator.
    """
    uids = settings.uids
    if not uids or uids[0] < 1 or uids[-1] >= 2**31:
        raise CloudMisconfigured(f"{uids.start}-{uids.stop - 1} is no range of user ids for instances.")
    mapped = [range(int(first), int(first) + int(count)) for first, _, count in _rows(uid_map)]
    if not any(uids[0] in known and uids[-1] in known for known in mapped):
        known = ", ".join(f"{part.start}-{part.stop - 1}" for part in mapped)
        raise CloudMisconfigured(
            f"The user ids {uids[0]}-{uids[-1]} for instances do not all exist in this container, which has "
            f"{known}; choose base_uid and uid_count inside of that."
        )


def _check_traversable(root: Path) -> None:
    """Servers run under users of their own, who must get through every directory on the way to theirs."""
    for directory in (root, *root.parents):
        if not stat.S_IMODE(directory.stat().st_mode) & stat.S_IXOTH:
            raise CloudMisconfigured(
                f"Database servers run under users of their own, who cannot pass through {directory}: "
                f"run `chmod o+x {directory}` or choose a state directory elsewhere."
            )


def _rows(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()]


def is_root() -> bool:
    """Say whether we may give every instance a user of its own."""
    return os.geteuid() == 0
