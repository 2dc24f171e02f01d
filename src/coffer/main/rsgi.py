"""Serves a WSGI application, whose calls wait for databases and guests, on granian's own interface: each in a thread.

Why not WSGI all the way: granian's WSGI environment names the client without its port, and `client_ip` of every
event is `ip:port`. ASGI has the port too, but costs twice as much a call. It knows nothing of coffer.
"""

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol
from wsgiref.types import WSGIApplication, WSGIEnvironment

Response = tuple[int, list[tuple[str, str]], bytes]

THREADS_APART = 2


class Headers(Protocol):
    """The header fields of a call, names in lower case."""

    def items(self) -> Sequence[tuple[str, str]]:
        """Return all, one that comes twice twice."""


class Scope(Protocol):
    """What granian says of a call. Source: RSGI 1.6, granian's own specification."""

    proto: str
    http_version: str
    server: str
    client: str
    scheme: str
    method: str
    path: str
    query_string: str
    headers: Headers


class Answering(Protocol):
    """The way to the client."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the body in pieces."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer."""


class Threaded:
    """An RSGI application; answers are small, so they are sent in one piece."""

    def __init__(
        self,
        application: WSGIApplication,
        *,
        threads: int,
        close: Callable[[], object] = lambda: None,
        body_limit_bytes: int = 16 * 1024 * 1024,
        apart: Collection[str] = (),
    ) -> None:
        """Serve `threads` calls at a time, and `close` after the last.

        No more of a body than `body_limit_bytes` is kept: the application, whose limit is lower, refuses it. The paths
        `apart` are served also while all threads wait for something.
        """
        self._application = application
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="call")
        self._pool_apart = ThreadPoolExecutor(THREADS_APART, thread_name_prefix="apart")
        self._apart = frozenset(apart)
        self._close = close
        self._body_limit_bytes = body_limit_bytes

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """End, when the worker does."""
        del loop
        self._pool.shutdown()
        self._pool_apart.shutdown()
        self._close()

    async def __rsgi__(self, scope: Scope, answering: Answering) -> None:
        """Serve one call."""
        assert scope.proto == "http", "there are no websockets here"
        environ = _environ(scope)
        if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input"] = io.BytesIO(await _body(answering, self._body_limit_bytes))
        loop = asyncio.get_running_loop()
        pool = self._pool_apart if scope.path in self._apart else self._pool
        answer = await loop.run_in_executor(pool, _call, self._application, environ)
        answering.response_bytes(*answer)


DISCARDED_BYTES = 16 * 1024 * 1024
"""So much more than is kept of a body is listened to: a client that is cut off while it speaks hears no answer."""


async def _body(answering: Answering, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    heard = 0
    async for piece in answering:
        if heard < limit_bytes:
            parts.append(bytes(piece)[: limit_bytes - heard])
        heard += len(piece)
        if heard >= limit_bytes + DISCARDED_BYTES:
            break
    return b"".join(parts)


_SAME: WSGIEnvironment = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.input_terminated": True,
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


def _environ(scope: Scope) -> WSGIEnvironment:
    """Return the environment of a call. Source: PEP 3333; header names with `_` are dropped as ambiguous."""
    server, _, server_port = scope.server.rpartition(":")
    environ: WSGIEnvironment = {
        **_SAME,
        "REQUEST_METHOD": scope.method,
        # It is decoded already.
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "SERVER_NAME": server.strip("[]") or "localhost",
        "SERVER_PORT": server_port or "0",
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(),
    }
    address, _, port = scope.client.rpartition(":")
    if address:
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = address.strip("[]"), port
    for name, value in scope.headers.items():
        if "_" not in name:
            _add(environ, name, value)
    return environ


def _add(environ: WSGIEnvironment, name: str, value: str) -> None:
    key = name.upper().replace("-", "_")
    if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
        key = f"HTTP_{key}"
    environ[key] = f"{environ[key]},{value}" if key in environ else value


def _call(application: WSGIApplication, environ: WSGIEnvironment) -> Response:
    """Call the application; runs in a thread of the pool."""
    begun: list[tuple[int, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _failure: object = None, /
    ) -> Callable[[bytes], object]:
        begun[:] = [(int(status.split(" ", 1)[0]), [(name.lower(), value) for name, value in headers])]
        return written.append

    parts: Iterable[bytes] = application(environ, start_response)
    try:
        content = b"".join([*written, *parts])
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    return (*begun[0], content)
