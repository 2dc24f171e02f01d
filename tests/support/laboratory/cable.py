"""A network between two machines of a laboratory that can be cut: a pair of veths into a namespace of its own.

What is connected to `address` crosses the cable, is taken up by a relay in the namespace, and goes on to a port of
our loopback. While the cable is cut, packets vanish without a word, as they do between machines; both ends keep their
connections. It takes root, and a kernel with network namespaces.
"""

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CLONE_NEWNET = 0x40000000
_BLOCK = 65536


class Impossible(Exception):  # noqa: N818 - it says what is so; caught where the experiment is left out
    """This machine does not let us do that; a sentence."""


class Cable:
    """The way to a port of the loopback."""

    def __init__(self, namespace: str, near: str, far: str, listener: socket.socket, target: int) -> None:
        """Hand on what `listener` accepts to the port `target`."""
        self.namespace = namespace
        self.address = f"{listener.getsockname()[0]}:{listener.getsockname()[1]}"
        self._near = near
        self._far = far
        self._listener = listener
        self._target = target
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, name="cable", daemon=True).start()

    def cut(self) -> None:
        """Cut it: the far end goes down, nothing that the near end sends arrives."""
        _ip("-n", self.namespace, "link", "set", self._far, "down")

    def heal(self) -> None:
        """Let packets through again."""
        _ip("-n", self.namespace, "link", "set", self._far, "up")

    def close(self) -> None:
        """End the relay and every connection."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for each in (self._listener, *self._open):
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, sink), name="cable", daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(_BLOCK):
            sink.sendall(block)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def cable(target: int) -> Iterator[Cable]:
    """Lay a cable to the port `target` of the loopback, and take it away again.

    Raises:
        Impossible: if this machine does not let us.
    """
    if os.geteuid() != 0:
        raise Impossible("only root may make network namespaces")
    number = os.getpid() % 10_000
    namespace, near, far = f"coffer-lab-{number}", f"cfl{number}n", f"cfl{number}f"
    net = f"10.213.{number % 256}"
    _ip("netns", "add", namespace)
    try:
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", namespace)
        _ip("addr", "add", f"{net}.1/30", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", namespace, "addr", "add", f"{net}.2/30", "dev", far)
        _ip("-n", namespace, "link", "set", far, "up")
        made = Cable(namespace, near, far, _listening_in(namespace, f"{net}.2"), target)
        try:
            yield made
        finally:
            made.close()
    finally:
        _ip("netns", "del", namespace)


def _listening_in(namespace: str, address: str) -> socket.socket:
    """Open a listening socket in a namespace: a thread goes there, and the socket stays when the thread is over."""
    made: list[socket.socket] = []

    def open_there() -> None:
        with Path(f"/run/netns/{namespace}").open("rb") as there:
            if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), CLONE_NEWNET):
                return
        made.append(socket.create_server((address, 0)))

    thread = threading.Thread(target=open_there)
    thread.start()
    thread.join()
    if not made:
        raise Impossible("this kernel lets no thread enter a network namespace")
    return made[0]


def _ip(*words: str) -> None:
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Impossible("the command ip is missing (apt: iproute2)") from None
    if done.returncode:
        raise Impossible(f"ip {' '.join(words)}: {done.stderr.strip()}")
