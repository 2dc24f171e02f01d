"""Guest agents as threads of one process."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.threads import together

from coffer.catalogue.errors import CloudFailed, GuestFailed
from coffer.clouds.local.guest_config import GuestConfigInvalid
from coffer.main.guests import ThreadLauncher


class Agent:
    """Counts how often it is started and stopped; refuses to be stopped before it is started."""

    def __init__(self) -> None:
        self.started = 0
        self.stopped = 0

    def start(self) -> None:
        self.started += 1

    def stop(self) -> None:
        assert self.started
        self.stopped += 1


class Agents:
    def __init__(self) -> None:
        self.made: list[Agent] = []

    def __call__(self, _guest_dir: Path) -> Any:
        self.made.append(Agent())
        return self.made[-1]


def test_an_agent_is_started_once() -> None:
    agents = Agents()
    launcher = ThreadLauncher(agents)

    together(16, lambda _: launcher.launch(Path("/instances/i-1")))

    assert sum(agent.started for agent in agents.made) == 1


def test_a_stopped_agent_can_be_started_again() -> None:
    agents = Agents()
    launcher = ThreadLauncher(agents)
    for _ in range(2):
        launcher.launch(Path("/instances/i-1"))
        launcher.stop("i-1")

    assert [(agent.started, agent.stopped) for agent in agents.made] == [(1, 1), (1, 1)]


def test_whoever_stops_an_agent_finds_it_started() -> None:
    agents = Agents()
    launcher = ThreadLauncher(agents)

    def launch_or_stop(number: int) -> None:
        if number % 2:
            launcher.stop("i-1")
        else:
            launcher.launch(Path("/instances/i-1"))

    together(32, launch_or_stop)
    launcher.stop("i-1")

    assert all(agent.started == agent.stopped <= 1 for agent in agents.made)


def test_what_does_not_run_can_be_stopped() -> None:
    ThreadLauncher(Agents()).stop("i-1")


@pytest.mark.parametrize(
    "trouble", [GuestConfigInvalid("no guest.json"), GuestFailed(reason="unknown engine")]
)
def test_an_agent_that_cannot_be_made_fails_the_cloud(trouble: Exception) -> None:
    def make(_guest_dir: Path) -> Any:
        raise trouble

    with pytest.raises(CloudFailed, match="The guest agent of the instance cannot be started"):
        ThreadLauncher(make).launch(Path("/instances/i-1"))
