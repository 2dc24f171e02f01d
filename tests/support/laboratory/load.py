"""Tenants at work while something breaks: databases and users come and go, servers are restarted, instances made.

Plain HTTP, a connection a call. Nobody minds a refusal, and nobody gives up: a call that finds nobody is made again.
"""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from tests.support.waiting import wait_for

CALL_S = 60.0
PAUSE_S = 0.02
RESTART_EVERY = 12
BUILD_S = 60.0
HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was answered."""

    what: str
    request_id: str
    status: int
    began: datetime
    ended: datetime

    @property
    def is_taken(self) -> bool:
        """Whether we were told that it will be done."""
        return self.status in {HTTPStatus.OK, HTTPStatus.ACCEPTED}


class Door:
    """One project's way to the API."""

    def __init__(self, port: int, project: str, keep: Callable[[Call], None] = lambda _: None) -> None:
        """Call the API on `port`; `keep` gets each answered call that changes something."""
        self._port = port
        self._project = project
        self._keep = keep

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Make a call and return status and body; status 0 if nobody answered."""
        began = datetime.now(UTC)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=CALL_S)
        with closing(connection):
            try:
                text = None if body is None else json.dumps(body)
                connection.request(method, f"/v1.0/{self._project}{path}", text, HEADERS)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException):
                return 0, None
        request_id = answer.headers.get("x-openstack-request-id", "")
        if method != "GET":
            self._keep(Call(f"{method} {path}", request_id, answer.status, began, datetime.now(UTC)))
        return answer.status, json.loads(content) if content else None


class Client(threading.Thread):
    """Works on one instance, under names of his own, until he is told to stop."""

    def __init__(self, door: Door, instance_id: str, name: str, stopping: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self.taken = 0
        """Calls of which we were told that they will be done."""
        self.failure: Exception | None = None
        self._door = door
        self._place = f"/instances/{instance_id}"
        self._stopping = stopping

    def run(self) -> None:
        """Go round; what breaks the client is kept for who reads the results."""
        try:
            for number in itertools.count(1):
                for method, path, body in self._round(number):
                    status, _ = self._door.call(method, f"{self._place}{path}", body)
                    self.taken += status == HTTPStatus.ACCEPTED
                    if self._stopping.wait(PAUSE_S):
                        return
        except Exception as error:  # noqa: BLE001 - a thread's failure is the experiment's
            self.failure = error

    def _round(self, number: int) -> Iterator[tuple[str, str, object]]:
        # Names return, so that each round is much like the one before it whatever became of that.
        database, user = f"{self.name}d{number % 3}", f"{self.name}u{number % 3}"
        account = {"name": user, "password": "tiger", "databases": [{"name": database}]}
        yield "POST", "/databases", {"databases": [{"name": database}]}
        yield "POST", "/users", {"users": [account]}
        yield "PUT", f"/users/{user}/databases", {"databases": [{"name": database}]}
        if number % RESTART_EVERY == 0:
            yield "POST", "/action", {"restart": {}}
        yield "DELETE", f"/users/{user}", None
        yield "DELETE", f"/databases/{database}", None


class Knocker(Client):
    """Asks for what cannot be: each call is a run that ends as it begins, and both are told at once."""

    def _round(self, number: int) -> Iterator[tuple[str, str, object]]:
        del number
        yield "POST", "/action", {"resize": {"flavorRef": "1"}}


class Builder(threading.Thread):
    """Makes an instance and deletes it, again and again; each is billed, so there are facts to be told."""

    def __init__(self, door: Door, stopping: threading.Event) -> None:
        super().__init__(name="builder", daemon=True)
        self.failure: Exception | None = None
        self._door = door
        self._stopping = stopping

    def run(self) -> None:
        """Build until told to stop, and leave nothing."""
        try:
            while not self._stopping.is_set():
                self._build()
        except Exception as error:  # noqa: BLE001 - as above
            self.failure = error

    def _build(self) -> None:
        asked = {
            "name": "tower",
            "flavorRef": "1",
            "volume": {"size": 1},
            "datastore": {"type": "postgresql"},
            "databases": [{"name": "d"}],
        }
        status, body = self._door.call("POST", "/instances", {"instance": asked})
        if status == HTTPStatus.OK:
            self._wait(body["instance"]["id"], {"ACTIVE", "ERROR"}, BUILD_S)
            self.remove(body["instance"]["id"])
        self._stopping.wait(PAUSE_S)

    def remove(self, instance_id: str) -> None:
        """Have an instance deleted, whatever its state: while it is being made it cannot be."""
        self._wait(instance_id, {"gone"}, 4 * BUILD_S, meanwhile=self._ask_to_go)

    def _ask_to_go(self, instance_id: str, status: str) -> None:
        if status in {"ACTIVE", "ERROR"}:
            self._door.call("DELETE", f"/instances/{instance_id}")

    def _wait(
        self,
        instance_id: str,
        statuses: set[str],
        limit_s: float,
        meanwhile: Callable[[str, str], None] = lambda _, __: None,
    ) -> None:
        until_s = time.monotonic() + limit_s
        while time.monotonic() < until_s:
            code, body = self._door.call("GET", f"/instances/{instance_id}")
            status = "gone" if code == HTTPStatus.NOT_FOUND else ""
            if code == HTTPStatus.OK:
                status = body["instance"]["status"]
            if status in statuses:
                return
            meanwhile(instance_id, status)
            threading.Event().wait(0.2)


class Probe(threading.Thread):
    """Asks the API something easy, again and again, and measures how long it takes to be answered."""

    def __init__(self, port: int, project: str) -> None:
        super().__init__(name="probe", daemon=True)
        self.longest_s = 0.0
        self.answers = 0
        self.refusals = 0
        """Answers of 500 and above: it has said that it cannot."""
        self._door = Door(port, project)
        self._stopping = threading.Event()

    def run(self) -> None:
        """Ask every 0.2 s; the wait counts until there is an answer, however often the connection broke."""
        while not self._stopping.wait(0.2):
            began_s = time.monotonic()
            status = 0
            while not status and not self._stopping.is_set():
                status, _ = self._door.call("GET", "/instances")
                if not status:
                    self._stopping.wait(0.02)
            self.longest_s = max(self.longest_s, time.monotonic() - began_s)
            self.answers += bool(status)
            self.refusals += status >= HTTPStatus.INTERNAL_SERVER_ERROR

    def stop(self) -> None:
        """Ask no more."""
        self._stopping.set()
        self.join()


class Load:
    """All clients of an experiment."""

    def __init__(self, port: int, instances: Sequence[tuple[str, str]], *, clients_each: int) -> None:
        """Let `clients_each` work on each of `instances`, which are a project and an id."""
        self.calls: list[Call] = []
        self._stopping = threading.Event()
        self._clients = [
            Client(Door(port, project, self.calls.append), instance_id, f"{project}{number}", self._stopping)
            for project, instance_id in instances
            for number in range(clients_each)
        ]
        self._knockers = [
            Knocker(Door(port, project, self.calls.append), instance_id, "knocker", self._stopping)
            for project, instance_id in instances
        ]
        self._builder = Builder(Door(port, "builders", self.calls.append), self._stopping)

    def __str__(self) -> str:
        """Return what the table calls it."""
        return f"{len(self._clients)} + {len(self._knockers)} clients, a builder"

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Work while the block lasts; raises what broke a client."""
        workers: list[Client | Builder] = [*self._clients, *self._knockers, self._builder]
        for each in workers:
            each.start()
        try:
            yield
        finally:
            self._stopping.set()
            for each in workers:
                each.join()
        failures = [each.failure for each in workers if each.failure is not None]
        if failures:
            raise failures[0]

    def work(self, calls_each: int, limit_s: float, what: str) -> None:
        """Wait until every client was told so many times more that something will be done."""
        before = [each.taken for each in self._clients]
        wait_for(
            lambda: all(
                each.taken >= was + calls_each or each.failure is not None
                for each, was in zip(self._clients, before, strict=True)
            ),
            limit_s,
            what,
            poll_s=0.05,
        )
