"""Serves a WSGI application on granian's own interface: in threads, since calls wait for databases and guests.

A call that waits for nothing is served where it is heard: the way to a thread and back costs as much as such a call.

Why not WSGI all the way: granian's WSGI environment names the client without its port, and `client_ip` of every
event is `ip:port`. ASGI has the port too, but costs twice as much a call.
"""

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Protocol
from wsgiref.types import WSGIApplication, WSGIEnvironment

from coffer.api.context import AFTERWARDS

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
        opened: Callable[[asyncio.AbstractEventLoop], object] = lambda _: None,
        close: Callable[[], object] = lambda: None,
        body_limit_bytes: int = 16 * 1024 * 1024,
        apart: Collection[str] = (),
        at_once: Callable[[WSGIEnvironment], bool] = lambda _: False,
    ) -> None:
        """Serve `threads` calls at a time; `opened` is called in the thread of the loop at first, `close` at last.

        No more of a body than `body_limit_bytes` is kept: the application, whose limit is lower, refuses it. The paths
        `apart` are served also while all threads wait for something. A call that is `at_once` has no body and waits for
        nothing; while it is served, no other call is heard.
        """
        self._application = application
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="call")
        self._pool_apart = ThreadPoolExecutor(THREADS_APART, thread_name_prefix="apart")
        self._apart = frozenset(apart)
        self._at_once = at_once
        self._opened = opened
        self._close = close
        self._afterwards: list[Callable[[], None]] = []
        self._is_due = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._body_limit_bytes = body_limit_bytes

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin, when the worker does."""
        self._loop = loop
        self._opened(loop)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """End, when the worker does."""
        del loop
        self._do_afterwards()
        self._pool.shutdown()
        self._pool_apart.shutdown()
        self._close()

    async def __rsgi__(self, scope: Scope, answering: Answering) -> None:
        """Serve one call."""
        assert scope.proto == "http", "there are no websockets here"
        environ = _environ(scope)
        if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input"] = io.BytesIO(await _body(answering, self._body_limit_bytes))
        elif self._at_once(environ):
            environ[AFTERWARDS] = self._afterwards.append
            answer = _call(self._application, environ)
            # Calls that were heard together are answered together: the first answer wakes granian for all.
            await asyncio.sleep(0)
            if self._afterwards and not self._is_due:
                self._is_due = True
                (self._loop or asyncio.get_running_loop()).call_soon(self._do_afterwards)
            answering.response_bytes(*answer)
            return
        loop = self._loop or asyncio.get_running_loop()
        pool = self._pool_apart if scope.path in self._apart else self._pool
        answer = await loop.run_in_executor(pool, _call, self._application, environ)
        answering.response_bytes(*answer)

    def _do_afterwards(self) -> None:
        """Do what can wait until the calls that were heard together are answered."""
        self._is_due = False
        due, self._afterwards = self._afterwards, []
        for each in due:
            each()


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
        key = _key(name)
        if key is not None:
            environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


@lru_cache(maxsize=256)
def _key(name: str) -> str | None:
    """Return where a header stands in the environment."""
    if "_" in name:
        return None
    key = name.upper().replace("-", "_")
    return key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"


class _Response:
    """What the application begins to answer: the standard's `start_response`."""

    __slots__ = ("headers", "status", "written")

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.written: list[bytes] = []

    def start(
        self, status: str, headers: list[tuple[str, str]], _failure: object = None, /
    ) -> Callable[[bytes], object]:
        self.status = int(status.split(" ", 1)[0])
        self.headers = [(name.lower(), value) for name, value in headers]
        return self.written.append


def _call(application: WSGIApplication, environ: WSGIEnvironment) -> Response:
    """Call the application."""
    response = _Response()
    parts: Iterable[bytes] = application(environ, response.start)
    try:
        content = b"".join([*response.written, *parts])
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    assert response.status, "the application has begun no answer"
    return response.status, response.headers, content
