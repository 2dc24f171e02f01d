"""Replication groups on real servers: made, written to, promoted, robbed of their members, and looked at."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import psycopg
from tests.functional.control_plane.backing_up import held_up
from tests.support.control_plane import ControlPlane
from tests.support.waiting import wait_for

from coffer.catalogue.states import ServiceStatus
from coffer.wire.envelope import Notification

DONE_S = 120.0
READ_S = 20.0

__all__ = ["DONE_S", "Group", "Told", "Writer", "announced", "held_up"]


@dataclass(frozen=True)
class Told:
    """What was announced by one run."""

    start: Notification
    ending: Notification

    @property
    def error(self) -> Mapping[str, Any]:
        assert self.ending.event_type.endswith(".error")
        assert self.ending.severity == "error"
        return self.ending.payload


def runs_of(control: ControlPlane, operation: str, since: int = 0) -> list[Told]:
    """Return the runs of an operation that were announced after the first `since` events: each once, whole."""
    found: dict[str, list[Notification]] = {}
    for event in control.events()[since:]:
        if event.event_type.startswith(f"dbaas.{operation}."):
            found.setdefault(str(event.payload["run_id"]), []).append(event)
    told = []
    for start, ending in found.values():
        assert start.event_type.endswith(".start")
        assert start.payload["request_id"] == ending.payload["request_id"]
        assert start.payload["tenant_id"] == ending.payload["tenant_id"]
        told.append(Told(start, ending))
    return told


@contextmanager
def announced(control: ControlPlane, operation: str) -> Iterator[list[Told]]:
    """Collect the one run of an operation that is announced while the block lasts, and wait for its end."""
    before = len(control.events())
    told: list[Told] = []
    yield told
    wait_for(lambda: not control.open_runs(), DONE_S, f"{operation} to end")
    told.extend(runs_of(control, operation, before))
    assert len(told) == 1


class Group:
    """A source and its replicas; `ids` are all members, the first source first."""

    def __init__(self, control: ControlPlane, replicas: int = 2) -> None:
        self.control = control
        source = control.create_active()
        with control.log_in(source) as session:
            session.execute("create table words (word text primary key)")
        asked = {"name": "copy", "replica_of": source, "replica_count": replicas}
        status, body = control.call("POST", "/instances", {"instance": asked})
        assert status == 200, body
        wait_for(lambda: not control.open_runs(), DONE_S, "the replicas to be made")
        self.ids = [source, *(each["id"] for each in control.show(source)["replicas"])]
        assert len(self.ids) == replicas + 1
        for each in self.ids:
            control.wait_for(each, "ACTIVE")

    def add(self, instance_id: str, word: str) -> None:
        with self.control.log_in(instance_id) as session:
            session.execute("insert into words values (%s)", (word,))

    def words(self, instance_id: str) -> list[str]:
        with self.control.log_in(instance_id) as session:
            return [word for (word,) in session.execute("select word from words order by word")]

    def all_get(self, *words: str, ids: list[str] | None = None) -> None:
        """Wait until these words, and no others, are everywhere."""
        for each in ids or self.ids:

            def has(each: str = each) -> bool:
                return self.words(each) == sorted(words)

            wait_for(has, READ_S, f"{words} at {each}")

    def roles(self) -> list[str | None]:
        return [self.control.row(each).replica_of for each in self.ids]

    def states(self) -> list[str]:
        return [str(self.control.row(each).state) for each in self.ids]

    def act(self, instance_id: str, action: str) -> None:
        assert self.control.action(instance_id, {action: {}}) == 202

    def detach(self, instance_id: str) -> int:
        return self.control.call("PUT", f"/instances/{instance_id}", {"instance": {"replica_of": None}})[0]

    def kill_server(self, instance_id: str) -> None:
        """Kill a server as the machine's lack of memory would, and wait until that is known."""
        pid_file = self.control.guest_dir(instance_id) / "data" / "postmaster.pid"
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
        wait_for(
            lambda: self.control.row(instance_id).service_status is ServiceStatus.CRASHED,
            READ_S,
            "the crash to be known",
        )

    @contextmanager
    def without_agent(self, instance_id: str, timeout_s: float = 3.0) -> Iterator[None]:
        """Let the agent of an instance be dead for a while, and nobody wait long for it; its server serves."""
        control = self.control
        control.launcher.stop(instance_id)
        control.site.guest_timeouts_s |= {"timeout_s": timeout_s, "restart_timeout_s": 3 * timeout_s}
        try:
            yield
        finally:
            control.site.guest_timeouts_s.clear()
            control.launcher.launch(control.guest_dir(instance_id))

    def delete(self) -> None:
        """Remove everybody, replicas first."""
        control = self.control
        wait_for(lambda: not control.open_runs(), DONE_S, "the runs to end")
        living = [each for each in self.ids if control.row(each).deleted_at is None]
        for each in sorted(living, key=lambda each: control.row(each).replica_of is None):
            wait_for(
                lambda each=each: control.call("DELETE", f"/instances/{each}")[0] == 202,  # type: ignore[misc]
                DONE_S,
                f"{each} to be deletable",
            )
            wait_for(lambda: not control.open_runs(), DONE_S, "the deletion to end")
        assert not set(self.ids) & set(control.cloud.owned())


@dataclass
class Writer:
    """A client that writes without a pause to whoever takes it, and remembers what was confirmed to him."""

    group: Group
    prefix: str = "w"
    confirmed: list[str] = field(default_factory=list)
    taken_by: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._write, name="writer")
        self._thread.start()
        self.wait_for(10)
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join()

    def wait_for(self, count: int, at: str | None = None) -> None:
        """Wait until so many more rows were confirmed, by one server if `at` says which."""
        before = self._count(at)
        wait_for(lambda: self._count(at) >= before + count, DONE_S, f"{count} rows to be confirmed")

    def _count(self, at: str | None) -> int:
        return len(self.confirmed) if at is None else self.taken_by.count(at)

    def _write(self) -> None:
        number = 0
        while not self._stop.is_set():
            for each in self.group.ids:
                with contextlib.suppress(psycopg.Error), self.group.control.log_in(each) as session:
                    while not self._stop.is_set():
                        number += 1
                        word = f"{self.prefix}{number:06}"
                        session.execute("insert into words values (%s)", (word,))
                        self.confirmed.append(word)
                        self.taken_by.append(each)
