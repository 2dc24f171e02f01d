"""Serves the WSGI application: waitress inside one process, granian for `coffer api`."""

import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn
from wsgiref.types import WSGIApplication

from granian.constants import Interfaces
from granian.server import Server as Granian
from waitress.server import create_server

LOG = logging.getLogger(__name__)

BACKLOG = 1024


class CannotListenError(Exception):
    """The address is taken, or not ours; a sentence for the operator."""


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Open a listening socket; port 0 takes any free one.

    Raises:
        CannotListenError: if the address cannot be listened on.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListenError(f"{host} is no address to listen on: {error.strerror}") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            raise CannotListenError(f"{host} port {port} cannot be listened on: {error.strerror}") from error
        yield listener


def serve(application: WSGIApplication, listener: socket.socket, *, threads: int) -> None:
    """Serve on `listener` until SIGINT or SIGTERM; must be called in the main thread.

    granian, which is faster, starts worker processes of its own, and a standalone control plane is one process.
    """
    server = create_server(
        application,
        sockets=[listener],
        threads=threads,
        ident="coffer",
        clear_untrusted_proxy_headers=True,
        # Ours is smaller and has an answer of its own; this is the net below it.
        max_request_body_size=16 * 1024 * 1024,
    )
    former = [signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        server.run()  # ends at SystemExit, after the calls that are being served
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), former, strict=True):
            signal.signal(number, handler)
        server.close()


def serve_workers(
    load: Callable[[], WSGIApplication], *, host: str, port: int, workers: int, threads: int
) -> None:
    """Serve with `workers` processes until SIGINT or SIGTERM; each calls `load` for its application."""
    # Logging is ours: granian's own handlers would write beside it.
    Granian(
        "coffer",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=threads,
        log_enabled=False,
        respawn_failed_workers=True,
    ).serve(target_loader=load, wrap_loader=False)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    LOG.info("signal received signal=%s", signal.Signals(number).name)
    raise SystemExit(0)
