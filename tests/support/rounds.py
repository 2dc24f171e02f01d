"""Two tenants' clients that keep one instance busy: users come and go, and calls are made that must be refused."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from tests.support.trove import Refused, Tenant
from tests.support.waiting import wait_for

DONE_S = 60.0


@dataclass(frozen=True, slots=True)
class Span:
    """When a call was made, and when it was answered."""

    began: datetime
    ended: datetime

    def holds(self, moment: datetime) -> bool:
        """Whether something happened during the call."""
        return self.began <= moment <= self.ended


@dataclass
class Rounds:
    """Each round begins `2 * batch + len(kept) + restarts` runs.

    `batch` users are created in one call, and deleted one by one once they are there; beside that the users `kept`,
    who are there, are created in one call, and a `broken` instance is restarted as often as it says: all refused.
    """

    url: str
    instance_id: str
    broken_id: str
    kept: Sequence[str]
    count: int
    batch: int
    restarts: int
    is_created: Callable[[], bool]
    """Says whether no creation of a user is under way."""
    calls: dict[tuple[str, str | None], list[Span]] = field(default_factory=lambda: defaultdict(list))
    """By operation and item."""
    _done: int = 0
    _players: Sequence["Future[None]"] = ()

    @property
    def runs(self) -> int:
        """How many runs all rounds begin."""
        return self.count * (2 * self.batch + len(self.kept) + self.restarts)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Play all rounds in a thread a client; leaving the block waits for them, and raises what they raised."""
        turn = threading.Semaphore(0)
        with ThreadPoolExecutor(2) as pool:
            self._players = [pool.submit(self._come_and_go, turn), pool.submit(self._be_refused, turn)]
            yield
            for each in self._players:
                each.result()

    def wait_for(self, done: int) -> None:
        """Wait until so many rounds are over; raises what the players raised."""

        def over() -> bool:
            for each in self._players:
                if each.done():
                    each.result()
            return self._done >= done

        wait_for(over, DONE_S, f"the end of {done} rounds")

    def _come_and_go(self, turn: threading.Semaphore) -> None:
        api = Tenant(self.url).api
        for number in range(self.count):
            names = [f"u{number}-{each}" for each in range(self.batch)]
            self._note("user_create", names, partial(api.users.create, self.instance_id, _users(names)))
            wait_for(self.is_created, DONE_S, "the users to be there")
            for name in names:
                self._note("user_delete", [None], partial(api.users.delete, self.instance_id, name))
            self._done += 1
            turn.release()

    def _be_refused(self, turn: threading.Semaphore) -> None:
        api = Tenant(self.url).api
        creation = partial(api.users.create, self.instance_id, _users(self.kept))
        for _ in range(self.count):
            assert turn.acquire(timeout=DONE_S)
            self._note("user_create", self.kept, partial(_must_be_refused, creation))
            for _ in range(self.restarts):
                restart = partial(api.instances.restart, self.broken_id)
                self._note("instance_restart", [None], partial(_must_be_refused, restart))

    def _note(self, operation: str, items: Sequence[str | None], call: Callable[[], object]) -> None:
        began = datetime.now(UTC)
        call()
        span = Span(began, datetime.now(UTC))
        for item in items:
            self.calls[operation, item].append(span)


def _users(names: Sequence[str]) -> list[dict[str, object]]:
    return [{"name": name, "password": "no secret", "databases": []} for name in names]


def _must_be_refused(call: Callable[[], object]) -> None:
    try:
        call()
    except Refused:
        return
    raise AssertionError("it was not refused")
