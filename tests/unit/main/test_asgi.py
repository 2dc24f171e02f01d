"""A WSGI application behind an ASGI server."""

import asyncio
import threading
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from coffer.main.asgi import Threaded

SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "POST",
    "http_version": "1.1",
    "scheme": "http",
    "path": "/a b",
    "raw_path": b"/a%20b%2Fc%C3%A9",
    "query_string": b"x=%20",
    "headers": [
        (b"host", b"127.0.0.1:1"),
        (b"content-type", b"application/json"),
        (b"content-length", b"4"),
        (b"x-user-id", b"mallory"),
        (b"x_user_id", b"root"),
        (b"accept", b"a"),
        (b"accept", b"b"),
    ],
    "client": ("127.0.0.1", 40000),
    "server": ("127.0.0.1", 8779),
}


class Recorder:
    """A WSGI application that keeps what it was called with, and answers 202."""

    def __init__(self) -> None:
        self.environ: WSGIEnvironment = {}
        self.body = b""
        self.thread = ""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.environ, self.thread = environ, threading.current_thread().name
        self.body = environ["wsgi.input"].read()
        write = start_response("202 Accepted", [("Content-Type", "text/plain")])
        write(b"one, ")
        return [b"two, ", b"three"]


def call(application: Any, messages: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    """Serve one call whose client sends `messages`; return what was sent back."""
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Threaded(application, threads=1, **options)(SCOPE, receive, send))
    return sent


def test_the_environment_is_that_of_the_standard_with_the_port_of_the_client() -> None:
    recorder = Recorder()
    call(
        recorder,
        [{"type": "http.request", "body": b"{ ", "more_body": True}, {"type": "http.request", "body": b" }"}],
    )
    environ = recorder.environ
    assert recorder.body == b"{  }"
    assert recorder.thread.startswith("call")
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("127.0.0.1", "40000")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("127.0.0.1", "8779")
    assert (environ["REQUEST_METHOD"], environ["SERVER_PROTOCOL"]) == ("POST", "HTTP/1.1")
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/a b/cé"
    assert environ["QUERY_STRING"] == "x=%20"
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("application/json", "4")
    assert environ["HTTP_HOST"] == "127.0.0.1:1"


def test_a_header_with_an_underscore_cannot_pose_as_another() -> None:
    recorder = Recorder()
    call(recorder, [{"type": "http.request"}])
    assert recorder.environ["HTTP_X_USER_ID"] == "mallory"


def test_a_header_that_comes_twice_is_joined() -> None:
    recorder = Recorder()
    call(recorder, [{"type": "http.request"}])
    assert recorder.environ["HTTP_ACCEPT"] == "a,b"


def test_the_answer_is_sent_in_one_piece() -> None:
    assert call(Recorder(), [{"type": "http.request"}]) == [
        {"type": "http.response.start", "status": 202, "headers": [(b"content-type", b"text/plain")]},
        {"type": "http.response.body", "body": b"one, two, three"},
    ]


def test_no_more_of_a_body_is_read_than_the_limit() -> None:
    recorder = Recorder()
    endless = [{"type": "http.request", "body": b"x" * 6, "more_body": True} for _ in range(4)]
    call(recorder, endless, body_limit_bytes=10)
    assert recorder.body == b"x" * 10
    assert len(endless) == 2


def test_a_client_that_hangs_up_is_not_served() -> None:
    recorder = Recorder()
    said = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    assert call(recorder, said) == []
    assert recorder.environ == {}


def test_what_the_application_returned_is_closed_even_if_it_breaks() -> None:
    closed = threading.Event()

    class Broken:
        def __iter__(self) -> Any:
            raise ZeroDivisionError

        def close(self) -> None:
            closed.set()

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        start_response("200 OK", [])
        return Broken()

    with pytest.raises(ZeroDivisionError):
        call(application, [{"type": "http.request"}])
    assert closed.is_set()


def test_the_end_of_the_server_closes_after_the_last_call() -> None:
    closed = threading.Event()
    coming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return coming.pop(0)

    async def send(message: Any) -> None:
        sent.append((message["type"], closed.is_set()))

    served = Threaded(Recorder(), threads=1, close=closed.set)
    asyncio.run(served({"type": "lifespan"}, receive, send))
    assert sent == [("lifespan.startup.complete", False), ("lifespan.shutdown.complete", True)]
