"""Serves the WSGI application: waitress inside one process, granian for `coffer api`."""

import contextlib
import functools
import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn
from wsgiref.types import WSGIApplication

from granian.constants import HTTPModes, Interfaces
from granian.server import Server as Granian
from waitress.server import create_server

from coffer.main.rsgi import Threaded

LOG = logging.getLogger(__name__)

BACKLOG = 1024
ORPHAN_POLL_S = 1.0


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


def serve(
    application: WSGIApplication, listener: socket.socket, *, threads: int, reload: Callable[[], object]
) -> None:
    """Serve on `listener` until SIGINT or SIGTERM, and `reload` at SIGHUP; must be called in the main thread.

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
    former = [
        (signal.SIGTERM, signal.signal(signal.SIGTERM, _interrupt)),
        (signal.SIGINT, signal.signal(signal.SIGINT, _interrupt)),
        (signal.SIGHUP, signal.signal(signal.SIGHUP, lambda _number, _frame: reload())),
    ]
    try:
        server.run()  # ends at SystemExit, after the calls that are being served
    finally:
        for number, handler in former:
            signal.signal(number, handler)
        server.close()


def serve_workers(
    load: Callable[[], Threaded],
    *,
    host: str,
    port: int,
    workers: int,
    stop_s: float,
    reload: Callable[[], bool],
) -> None:
    """Serve with `workers` processes until SIGINT or SIGTERM; each calls `load` for its application.

    A worker that dies is replaced; two deaths at once end the server. Several servers may share the port, as when
    one takes over from another. The calls that are being served may take `stop_s` when a worker stops. At SIGHUP, if
    `reload` agrees, every worker is replaced: its successor is started some seconds before it takes no more calls.

    Raises:
        CannotListenError: if the address cannot be listened on.
        SystemExit: if the workers keep dying.
    """
    server = _Workers(
        "coffer",
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=workers,
        log_enabled=False,  # logging is ours: granian's own handlers would write beside it
        respawn_failed_workers=True,
        workers_kill_timeout=max(1, math.ceil(stop_s)),
    )
    server.may_reload = reload
    try:
        server.serve(target_loader=functools.partial(_loaded, load, os.getpid()), wrap_loader=False)
    except SystemExit:
        LOG.error("the API stops: its workers keep dying, each has said why")  # noqa: TRY400 - it is how granian ends
        raise
    except RuntimeError as error:
        if "os error" not in str(error):
            raise
        # The text goes on with a stack of granian's own.
        reason = str(error).partition(" (os error")[0]
        raise CannotListenError(f"{host} port {port} cannot be listened on: {reason}") from None


class _Workers(Granian):  # type: ignore[misc, valid-type]  # granian is untyped
    """granian's server, which replaces its workers at SIGHUP only if they could live with the configuration."""

    may_reload: Callable[[], bool]

    def signal_handler_reload(self, *args: object, **kwargs: object) -> None:
        """Note that the workers are to be replaced, if they may."""
        if self.may_reload():
            super().signal_handler_reload(*args, **kwargs)


def _loaded(load: Callable[[], Threaded], parent: int) -> Threaded:
    """Return the application of a worker; a function of the module, since processes may be spawned, not forked."""
    threading.Thread(target=_stop_with, args=(parent,), name="orphan-watch", daemon=True).start()
    return load()


def _stop_with(parent: int) -> None:
    """Stop this worker when the server is gone: killed, it could not tell us, and we would serve for ever."""
    gone = threading.Event()
    while os.getppid() == parent:
        gone.wait(ORPHAN_POLL_S)
    LOG.warning("the server is gone, its worker stops pid=%d", os.getpid())
    os.kill(os.getpid(), signal.SIGTERM)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    LOG.info("signal received signal=%s", signal.Signals(number).name)
    raise SystemExit(0)
