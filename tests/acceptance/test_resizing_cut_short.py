"""The control plane is killed in the middle of a resize, and started again: the next one completes it (G6)."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.announcements import settled
from tests.support.processes import is_running
from tests.support.standalone import Standalone, standalone
from tests.support.trove import Tenant
from tests.support.waiting import wait_for

from coffer.clouds.local.guest_config import GuestConfig

PHASE_S = 60.0
MEMORY = {"1": (512, "128MB"), "2": (1024, "256MB")}
"""MiB and `shared_buffers` of flavors."""


@dataclass
class Books:
    """A control plane and an instance with a user ann."""

    coffer: Standalone
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    instance_id: str = ""

    @property
    def tenant(self) -> Tenant:
        """A client of the control plane that runs now."""
        return Tenant(self.coffer.url)

    def config(self) -> GuestConfig:
        return GuestConfig.load(self.coffer.guest_dir(self.instance_id))

    def cut_short(self, phase: str, call: Callable[[Any], object]) -> None:
        """Make the call, kill the control plane in a phase of it and start another one, until it is done."""
        before, postmaster = self.config(), self.coffer.postmaster(self.instance_id)
        reached: dict[str, Callable[[], bool]] = {
            "answered": lambda: True,
            "place made": lambda: self.config() != before,
            "server gone": lambda: not is_running(postmaster),
        }
        call(self.tenant.api.instances)
        wait_for(reached[phase], PHASE_S, f"the phase: {phase}", poll_s=0.005)
        self.coffer.kill_and_start()
        self.tenant.wait_for(self.instance_id, "ACTIVE")

    def last(self, operation: str, event_type: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what the last run of an operation said at its start, and the fact that it stated."""
        announced = settled(self.coffer)
        runs, facts = announced.of(operation), announced.facts(event_type)
        assert all(run.succeeded for run in runs)
        assert len(runs) == len(facts), "each is billed once"
        start, fact = runs[-1].start["payload"], facts[-1]["payload"]
        assert fact["modify_at"] > fact["created_at"] == fact["launched_at"]
        return start, fact


@pytest.fixture(scope="module")
def books() -> Iterator[Books]:
    with standalone() as coffer:
        made = Books(coffer)
        made.instance_id = made.tenant.create_active(users={"ann": made.password})
        yield made


@pytest.mark.parametrize("phase", ["answered", "place made", "server gone"])
def test_another_flavor_cut_short_is_completed_and_billed_once(books: Books, phase: str) -> None:
    before = books.tenant.show(books.instance_id)["flavor"]["id"]
    wanted = "2" if before == "1" else "1"

    books.cut_short(phase, lambda api: api.resize_instance(books.instance_id, wanted))

    start, fact = books.last("instance_resize_instance", "trove.instance.modify_flavor")
    assert start["new_flavor_id"] == wanted
    assert (fact["old_instance_size"], fact["instance_size"]) == (MEMORY[before][0], MEMORY[wanted][0])
    assert books.tenant.show(books.instance_id)["flavor"]["id"] == wanted
    with books.tenant.log_in(
        books.instance_id, database="shop", user="ann", password=books.password
    ) as session:
        assert session.execute("show shared_buffers").fetchone() == (MEMORY[wanted][1],)


@pytest.mark.parametrize("phase", ["answered", "place made"])
def test_a_larger_volume_cut_short_is_completed_and_billed_once(books: Books, phase: str) -> None:
    size = books.tenant.show(books.instance_id)["volume"]["size"]
    postmaster = books.coffer.postmaster(books.instance_id)

    books.cut_short(phase, lambda api: api.resize_volume(books.instance_id, size + 1))

    _, fact = books.last("instance_resize_volume", "trove.instance.modify_volume")
    assert (fact["old_volume_size"], fact["volume_size"]) == (size, size + 1)
    assert books.tenant.show(books.instance_id)["volume"]["size"] == size + 1
    assert books.coffer.postmaster(books.instance_id) == postmaster, "the server went on serving"
