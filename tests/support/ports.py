"""Ports of the loopback for servers that a test starts."""

import itertools
import random
import socket
from collections.abc import Iterator

_RANGE = range(10_000, 20_000)
"""Below the ports from which the kernel takes one for each outgoing connection, which would be in the server's way by
the time that it starts; and below those of the local cloud."""

_offset = random.randrange(len(_RANGE))  # so that those who run side by side do not ask for the same ones
_candidates: Iterator[int] = itertools.cycle((*_RANGE[_offset:], *_RANGE[:_offset]))


def free_port() -> int:
    """Return a port that nobody listens on, and that this process is given only once in thousands of times."""
    for port in itertools.islice(_candidates, len(_RANGE)):
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError("no port is free")
