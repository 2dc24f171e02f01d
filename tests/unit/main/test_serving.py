"""A server comes up when the broker agrees, and goes down when its work is done, or in time."""

from collections.abc import Callable

from tests.support.waiting import wait_for

from coffer.main.serving import Serving
from coffer.store.errors import StoreUnavailable

SEEN_S = 20.0


class Server:
    """A server that notes what it is told; `finishes` says whether it is done in time."""

    def __init__(self, *, finishes: bool = True) -> None:
        self.told: list[object] = []
        self._finishes = finishes

    def start(self) -> None:
        self.told.append("start")

    def stop(self, timeout_s: float) -> bool:
        self.told.append(timeout_s)
        return self._finishes


class Watch:
    """What `Serving` asks of a watch."""

    def __init__(self, *answers: bool) -> None:
        self._answers = list(answers)

    def disagrees(self) -> bool:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def serving(server: Server, *answers: bool, give_up: Callable[[], object] = lambda: None) -> Serving:
    watch = Watch(*answers) if answers else None
    return Serving(server, watch=watch, limit_s=7, give_up=give_up, retry_s=0.01)  # type: ignore[arg-type]


def test_without_a_broker_that_disagrees_it_serves_at_once() -> None:
    for answers in ((), (False,)):
        server = Server()
        served = serving(server, *answers)
        served.start()
        assert server.told == ["start"]
        served.stop()
        assert server.told == ["start", 7]
        assert not served.is_unfinished


def test_it_waits_for_the_broker_to_agree() -> None:
    server = Server()
    served = serving(server, True, True, True, False)
    served.start()
    assert server.told == []
    wait_for(lambda: server.told == ["start"], SEEN_S, "it to serve")
    served.stop()


def test_it_can_stop_while_it_waits() -> None:
    server = Server()
    served = serving(server, True)
    served.start()
    served.stop()
    assert server.told == [7]


def test_what_is_not_done_in_time_is_given_up() -> None:
    given_up: list[str] = []
    served = serving(Server(finishes=False), give_up=lambda: given_up.append("tasks"))
    served.start()
    served.stop()
    assert served.is_unfinished
    assert given_up == ["tasks"]


def test_a_database_that_is_away_keeps_nobody_from_ending() -> None:
    def give_up() -> None:
        raise StoreUnavailable("books", "it cannot be reached")

    served = serving(Server(finishes=False), give_up=give_up)
    served.start()
    served.stop()
    assert served.is_unfinished
