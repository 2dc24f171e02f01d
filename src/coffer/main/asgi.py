"""Serves a WSGI application, whose calls wait for databases and guests, on an ASGI server: each in a thread.

Why not WSGI all the way: granian's WSGI environment names the client without its port, and `client_ip` of every
event is `ip:port`. It knows nothing of coffer.
"""

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication, WSGIEnvironment

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Response = tuple[int, list[tuple[bytes, bytes]], bytes]


class _ClientGoneError(Exception):
    """The client hung up before it had said everything."""


class Threaded:
    """An ASGI application; answers are small, so they are sent in one piece."""

    def __init__(
        self,
        application: WSGIApplication,
        *,
        threads: int,
        close: Callable[[], object] = lambda: None,
        body_limit_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        """Serve `threads` calls at a time, and `close` after the last.

        No more of a body than `body_limit_bytes` is read: the application, whose limit is lower, refuses it.
        """
        self._application = application
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="call")
        self._close = close
        self._body_limit_bytes = body_limit_bytes

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one call, or the beginning and the end of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            assert scope["type"] == "http", "there are no websockets here"
            await self._serve(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        message = await receive()
        while message["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
            message = await receive()
        await asyncio.to_thread(self._end)
        await send({"type": "lifespan.shutdown.complete"})

    def _end(self) -> None:
        self._pool.shutdown()
        self._close()

    async def _serve(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        try:
            body = await _body(receive, self._body_limit_bytes)
        except _ClientGoneError:
            return
        loop = asyncio.get_running_loop()
        environ = _environ(scope, body)
        status, headers, content = await loop.run_in_executor(self._pool, _call, self._application, environ)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


async def _body(receive: Receive, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    left = limit_bytes
    while left > 0:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGoneError
        part = message.get("body", b"")[:left]
        parts.append(part)
        left -= len(part)
        if not message.get("more_body", False):
            break
    return b"".join(parts)


def _environ(scope: Mapping[str, Any], body: bytes) -> WSGIEnvironment:
    """Return the environment of a call. Source: PEP 3333; header names with `_` are dropped as ambiguous."""
    raw_path = scope.get("raw_path") or scope["path"].encode()
    client, server = scope.get("client"), scope.get("server")
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(raw_path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0] if server else "localhost",
        "SERVER_PORT": str(server[1] if server else 0),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if client:
        environ |= {"REMOTE_ADDR": client[0], "REMOTE_PORT": str(client[1])}
    for name, value in scope["headers"]:
        if b"_" not in name:
            _add(environ, name.decode("latin-1"), value.decode("latin-1"))
    return environ


def _add(environ: WSGIEnvironment, name: str, value: str) -> None:
    key = name.upper().replace("-", "_")
    if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
        key = f"HTTP_{key}"
    environ[key] = f"{environ[key]},{value}" if key in environ else value


def _call(application: WSGIApplication, environ: WSGIEnvironment) -> Response:
    """Call the application; runs in a thread of the pool."""
    begun: list[tuple[int, list[tuple[bytes, bytes]]]] = []
    written: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _failure: object = None, /
    ) -> Callable[[bytes], object]:
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        begun[:] = [(int(status.split(" ", 1)[0]), encoded)]
        return written.append

    parts: Iterable[bytes] = application(environ, start_response)
    try:
        content = b"".join([*written, *parts])
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    return (*begun[0], content)
