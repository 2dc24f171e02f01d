"""Several clients are at work when the control plane is killed, again and again: what was answered was announced."""

import itertools
import threading
from collections.abc import Iterator

from keystoneauth1.exceptions import ConnectFailure
from keystoneauth1.exceptions import ConnectionError as ConnectionBrokenError
from tests.support.announcements import settled
from tests.support.standalone import Standalone
from tests.support.trove import Refused, Tenant
from tests.support.waiting import wait_for

KILLS = 6
CLIENTS = 4
ANSWERS_BEFORE_A_KILL = 25
LOAD_S = 60.0


class Client(threading.Thread):
    """Makes calls that begin and end a run each, until nobody answers any more."""

    def __init__(self, url: str, instance_id: str, names: Iterator[int], answered: list[str]) -> None:
        super().__init__()
        self._api = Tenant(url).api
        self._instance_id = instance_id
        self._names = names
        self._answered = answered

    def run(self) -> None:
        while self._is_answered(next(self._names)):
            pass

    def _is_answered(self, number: int) -> bool:
        try:
            self._api.users.delete(self._instance_id, f"nobody{number}")
        except Refused as refusal:
            self._answered.append(refusal.request_id)
        except (ConnectFailure, ConnectionBrokenError):
            return False
        return True


def test_what_was_answered_is_announced_whole_however_often_it_is_killed(coffer: Standalone) -> None:
    instance_id = Tenant(coffer.url).create_active()
    names, answered = itertools.count(), list[str]()

    for kill in range(1, KILLS + 1):
        clients = [Client(coffer.url, instance_id, names, answered) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        wanted = kill * ANSWERS_BEFORE_A_KILL
        wait_for(lambda wanted=wanted: len(answered) >= wanted, LOAD_S, f"{wanted} answers")  # type: ignore[misc]  # a lambda with a default
        coffer.kill()
        for client in clients:
            client.join()
        coffer.start()

    announced = settled(coffer)
    told = {run.start["payload"]["request_id"] for run in announced.of("user_delete")}
    assert set(answered) <= told
    assert len(answered) == len(set(answered))
    # A call that was cut short had begun or had not; nobody had its answer.
    assert len(told) - len(answered) <= KILLS * CLIENTS
