"""Ports of the loopback for servers that a test starts."""

import itertools
import os
import random
import socket
from collections.abc import Iterator

from coffer.clouds.local.settings import LocalSettings

_RANGE = range(10_000, 20_000)
"""Below the ports from which the kernel takes one for each outgoing connection, which would be in the server's way by
the time that it starts; and below those of the local cloud."""

_offset = random.randrange(len(_RANGE))  # so that those who run side by side do not ask for the same ones
_candidates: Iterator[int] = itertools.cycle((*_RANGE[_offset:], *_RANGE[:_offset]))


def instance_ports() -> range:
    """Return the ports for a local cloud's instances that no cloud of another process of pytest gives away.

    One cloud has a lock for that; two would now and then choose the same port before either server listens.
    """
    ports = LocalSettings().ports
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = len(ports) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return ports[worker * share : (worker + 1) * share]


def instance_port_options() -> dict[str, object]:
    """Return the same as options of `[local_cloud]`."""
    ports = instance_ports()
    return {"first_port": ports[0], "last_port": ports[-1]}


def free_port() -> int:
    """Return a port that nobody listens on, and that this process is given only once in thousands of times."""
    for port in itertools.islice(_candidates, len(_RANGE)):
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError("no port is free")
