"""G8 on a real database: whatever a name is made of, the work goes on and the payload is the declared one."""

import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.lifecycle.ground import Ground, context

from coffer.catalogue.errors import GuestFailed
from coffer.catalogue.events import EVENTS
from coffer.catalogue.operations import OPERATIONS

STRANGE = [
    "\ud800",
    "a\x00b",
    "\u202egnp.exe",
    "'; DROP TABLE runs; --",
    '"',
    "\\",
    "%s :x ?",
    "é" * 1_000_000,
]
strange = pytest.mark.parametrize("name", STRANGE, ids=lambda name: ascii(name[:10]))

anything = st.one_of(st.text(st.characters()), st.integers(), st.none(), st.floats(), st.booleans())


@strange
def test_a_strange_name_is_announced_and_its_run_ends(ground: Ground, name: str) -> None:
    run = ground.one_begun("user_create", ground.has(), username=name)

    assert ground.lifecycle().fail(run.run_id, GuestFailed(reason=f"user {name} cannot be made"))

    start, error = ground.events()
    assert start.payload["username"] == error.payload["username"]
    assert ground.open_runs() == []
    assert len(ground.run(run).message or "") <= 1024


@given(values=st.dictionaries(st.sampled_from(["dbname", "instance_id", "password", "x"]), anything))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_value_stops_the_work(ground: Ground, values: dict[str, Any]) -> None:
    before = len(ground.bodies())
    lifecycle = ground.lifecycle()

    with lifecycle.begin(
        context(), OPERATIONS["database_create"], instance=ground.has(), items=[values]
    ) as beginning:
        pass
    lifecycle.end(beginning.run.run_id, lambda ending: ending.traits.update(values))

    told = ground.events()[before:]
    assert [event.event_type for event in told] == [
        "dbaas.database_create.start",
        "dbaas.database_create.end",
    ]
    for event in told:
        assert event.payload.keys() <= {trait.field for trait in EVENTS[event.event_type].all_traits}
        assert event.payload["tenant_id"] == "project-1"
        assert event.payload["run_id"] == beginning.run.run_id


def test_a_flaw_of_a_payload_is_logged_and_stops_nothing(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.ERROR),
        ground.lifecycle().begin(
            context(), OPERATIONS["database_create"], instance=ground.has()
        ) as beginning,
    ):
        pass

    assert "dbaas.database_create.start lacks dbname" in caplog.text
    assert ground.open_runs() == [beginning.run.run_id]


def test_a_password_among_the_traits_is_not_announced(ground: Ground) -> None:
    run = ground.one_begun("user_create", ground.has(), username="alice", password="tiger-4711")

    ground.lifecycle().end(run.run_id, lambda ending: ending.traits.update(password="tiger-4711"))

    assert b"tiger" not in b"".join(ground.bodies())


def test_the_secrets_of_an_exception_stay_here(ground: Ground) -> None:
    """Not even as the cause of another one; and an error that is not ours is not quoted at all."""
    sql = "ALTER ROLE alice PASSWORD 'tiger-4711'"
    run = ground.one_begun("user_create", ground.has(), username="alice")
    error = GuestFailed(reason=f"This did not work: {sql}")
    error.__cause__ = RuntimeError(sql)

    ground.lifecycle().fail(run.run_id, error)

    payload = ground.payload("dbaas.user_create.error")
    assert b"tiger" not in b"".join(ground.bodies())
    assert "tiger" not in (ground.run(run).message or "")
    assert str(payload["exception"]).endswith("caused by RuntimeError")
    assert "PASSWORD ***" in str(payload["message"])
