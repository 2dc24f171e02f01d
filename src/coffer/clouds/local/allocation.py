"""Which user id and which port a new instance gets.

The caller holds `Layout.allocating` and says what existing instances have already.
"""

import pwd
import random
import socket
from collections.abc import Collection
from pathlib import Path

from coffer.catalogue.errors import CloudFailed
from coffer.clouds.local import processes
from coffer.clouds.local.guest_config import replace_file

NEXT_UID_NAME = "next_uid"
_MOST_NAMED = 10_000
"""How many named ids in a row are passed over before the operator has to choose another range."""


def choose_port(address: str, ports: range, taken: Collection[int]) -> int:
    """Return a port that no instance has and nobody listens on, from a random place in the range on.

    At random, because a second cloud on this machine may be looking at the same moment.

    Raises:
        CloudFailed: all are taken.
    """
    offset = random.randrange(len(ports)) if ports else 0  # noqa: S311 — spreads, keeps no secret
    for step in range(len(ports)):
        port = ports[(offset + step) % len(ports)]
        if port not in taken and _is_free(address, port):
            return port
    raise CloudFailed(reason="There is no free port left on the machine for the instance.")


def choose_uid(uids: range, books: Path, taken: Collection[int]) -> int:
    """Return a user id that no instance has, and that none had before as long as the range lasts.

    A used id is not given again, because whoever ran programs under it may have left files that carry it, a
    program with the set-user-id bit in /tmp for instance, which would make him the next owner's equal. The
    first id of a cloud is random, because another cloud on this machine would otherwise begin with the same.
    An id that has a name belongs to a person or a service, in a directory of users perhaps.

    Raises:
        CloudFailed: all are taken.
        OSError: the number cannot be kept.
    """
    avoid = frozenset(taken) | processes.users()
    start = _next_uid(uids, books, taken)
    for step in range(min(len(uids), len(avoid) + _MOST_NAMED)):
        uid = uids[(uids.index(start) + step) % len(uids)]
        if uid not in avoid and not _has_name(uid):
            replace_file(books / NEXT_UID_NAME, f"{uid + 1}\n")
            return uid
    raise CloudFailed(reason="There is no user id left on the machine for the instance.")


def _next_uid(uids: range, books: Path, taken: Collection[int]) -> int:
    try:
        kept = int((books / NEXT_UID_NAME).read_text())
    except (FileNotFoundError, ValueError):
        ours = [uid for uid in taken if uid in uids]
        kept = max(ours) + 1 if ours else random.choice(uids)  # noqa: S311 — spreads, keeps no secret
    return kept if kept in uids else uids[0]


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _is_free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As database servers do: connections of the port's former owner that linger do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError:
            return False
    return True
