"""A WSGI application behind granian's own interface."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from coffer.api.context import AFTERWARDS
from coffer.main import rsgi
from coffer.main.rsgi import Headers, Threaded


@dataclass
class Fields:
    """The header fields of a call."""

    fields: list[tuple[str, str]]

    def items(self) -> Sequence[tuple[str, str]]:
        return self.fields


@dataclass
class Scope:
    """A call as granian tells it."""

    proto: str = "http"
    http_version: str = "1.1"
    server: str = "127.0.0.1:8779"
    client: str = "127.0.0.1:40000"
    scheme: str = "http"
    method: str = "POST"
    path: str = "/a b/cé%41"
    query_string: str = "x=%20"
    headers: Headers = field(
        default_factory=lambda: Fields(
            [
                ("host", "127.0.0.1:1"),
                ("content-type", "application/json"),
                ("content-length", "4"),
                ("x-user-id", "mallory"),
                ("x_user_id", "root"),
                ("accept", "a"),
                ("accept", "b"),
            ]
        )
    )


@dataclass
class Client:
    """Says a body in pieces, and keeps the answer."""

    pieces: list[bytes] = field(default_factory=list)
    answers: list[tuple[int, list[tuple[str, str]], bytes]] = field(default_factory=list)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.pieces:
            yield self.pieces.pop(0)

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answers.append((status, headers, body))


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


def call(application: Any, client: Client, scope: Scope | None = None, **options: Any) -> Client:
    """Serve one call of `client`."""
    asyncio.run(Threaded(application, threads=1, **options).__rsgi__(scope or Scope(), client))
    return client


def test_the_environment_is_that_of_the_standard_with_the_port_of_the_client() -> None:
    recorder = Recorder()
    call(recorder, Client([b"{ ", b" }"]))
    environ = recorder.environ
    assert recorder.body == b"{  }"
    assert recorder.thread.startswith("call")
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("127.0.0.1", "40000")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("127.0.0.1", "8779")
    assert (environ["REQUEST_METHOD"], environ["SERVER_PROTOCOL"]) == ("POST", "HTTP/1.1")
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/a b/cé%41", "it is not decoded twice"
    assert environ["QUERY_STRING"] == "x=%20"
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("application/json", "4")
    assert environ["HTTP_HOST"] == "127.0.0.1:1"


def test_an_address_of_ipv6_is_told_from_its_port() -> None:
    recorder = Recorder()
    call(recorder, Client(), Scope(client="[::1]:40000", server="[::1]:8779"))
    environ = recorder.environ
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("::1", "40000")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("::1", "8779")


def test_a_header_with_an_underscore_cannot_pose_as_another() -> None:
    recorder = Recorder()
    call(recorder, Client())
    assert recorder.environ["HTTP_X_USER_ID"] == "mallory"


def test_a_header_that_comes_twice_is_joined() -> None:
    recorder = Recorder()
    call(recorder, Client())
    assert recorder.environ["HTTP_ACCEPT"] == "a,b"


def test_the_answer_is_sent_in_one_piece() -> None:
    client = call(Recorder(), Client())
    assert client.answers == [(202, [("content-type", "text/plain")], b"one, two, three")]


def test_no_more_of_a_body_is_kept_than_the_limit_and_the_client_is_heard_out() -> None:
    recorder = Recorder()
    client = call(recorder, Client([b"x" * 6] * 4), body_limit_bytes=10)
    assert recorder.body == b"x" * 10
    assert client.pieces == []
    assert len(client.answers) == 1


def test_a_body_without_end_is_not_heard_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rsgi, "DISCARDED_BYTES", 5)
    client = call(Recorder(), Client([b"x" * 6] * 5), body_limit_bytes=10)
    assert len(client.pieces) == 2
    assert len(client.answers) == 1


def test_a_call_that_announces_no_body_waits_for_none() -> None:
    recorder = Recorder()
    client = call(recorder, Client([b"x"]), Scope(method="GET", headers=Fields([])))
    assert (recorder.body, client.pieces) == (b"", [b"x"])


def test_a_path_apart_is_served_while_all_threads_wait() -> None:
    began, goes_on, recorder = threading.Event(), threading.Event(), Recorder()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            began.set()
            goes_on.wait(20)
        return recorder(environ, start_response)

    async def serve() -> list[int]:
        threaded: Any = Threaded(application, threads=1, apart=("/healthz",))
        slow, apart = Client(), Client()
        waiting = asyncio.create_task(threaded.__rsgi__(Scope(path="/slow", headers=Fields([])), slow))
        await asyncio.to_thread(began.wait, 20)
        await asyncio.wait_for(threaded.__rsgi__(Scope(path="/healthz", headers=Fields([])), apart), 20)
        seen = [len(slow.answers), len(apart.answers)]
        goes_on.set()
        await waiting
        return seen

    assert asyncio.run(serve()) == [0, 1]


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
        call(application, Client())
    assert closed.is_set()


def test_the_end_of_the_worker_closes_after_the_last_call() -> None:
    closed = threading.Event()
    loop = asyncio.new_event_loop()
    Threaded(Recorder(), threads=1, close=closed.set).__rsgi_del__(loop)
    loop.close()
    assert closed.is_set()


GET = Scope(method="GET", headers=Fields([("host", "127.0.0.1:1")]))


def test_a_call_that_waits_for_nothing_is_served_where_it_is_heard() -> None:
    recorder = Recorder()
    client = call(recorder, Client(), GET, at_once=lambda environ: environ["REQUEST_METHOD"] == "GET")
    assert recorder.thread == threading.main_thread().name
    assert client.answers == [(202, [("content-type", "text/plain")], b"one, two, three")]


def test_a_call_with_a_body_is_never_served_at_once() -> None:
    recorder = Recorder()
    call(recorder, Client([b"body"]), at_once=lambda _: True)
    assert recorder.thread.startswith("call")


def test_calls_that_are_heard_together_are_answered_together() -> None:
    """The first answer wakes granian, so it waits until the others are there."""
    order: list[str] = []

    class Telling(Client):
        def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            order.append("answered")
            super().response_bytes(status, headers, body)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        order.append("served")
        environ[AFTERWARDS](lambda: order.append("logged"))
        start_response("200 OK", [])
        return [b""]

    async def both() -> None:
        threaded = Threaded(application, threads=1, at_once=lambda _: True)
        await asyncio.gather(threaded.__rsgi__(GET, Telling()), threaded.__rsgi__(GET, Telling()))
        await asyncio.sleep(0)

    asyncio.run(both())
    assert order == ["served", "served", "answered", "answered", "logged", "logged"]


def test_what_is_to_be_done_afterwards_is_done_also_at_the_end() -> None:
    done: list[str] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ[AFTERWARDS](lambda: done.append("logged"))
        start_response("200 OK", [])
        return [b""]

    class Gone(Client):
        def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            raise ConnectionError

    async def work() -> None:
        threaded = Threaded(application, threads=1, at_once=lambda _: True)
        loop = asyncio.get_running_loop()
        with pytest.raises(ConnectionError):
            await threaded.__rsgi__(GET, Gone())
        threaded.__rsgi_del__(loop)
        assert done == ["logged"]

    asyncio.run(work())


def test_a_call_in_a_thread_does_everything_before_it_is_answered() -> None:
    recorder = Recorder()
    call(recorder, Client())
    assert AFTERWARDS not in recorder.environ


def test_the_loop_is_told_of_before_the_first_call() -> None:
    opened: list[asyncio.AbstractEventLoop] = []
    threaded = Threaded(Recorder(), threads=1, opened=opened.append)

    async def work() -> None:
        loop = asyncio.get_running_loop()
        threaded.__rsgi_init__(loop)
        await threaded.__rsgi__(GET, Client())
        assert opened == [loop]

    asyncio.run(work())
