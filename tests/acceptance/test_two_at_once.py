"""Two clients want different things of one instance at the same moment."""

import itertools
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.announcements import settled
from tests.support.processes import about
from tests.support.standalone import Standalone
from tests.support.threads import together
from tests.support.trove import Refused, Tenant

ROUNDS = 6


def answer(call: Callable[[], Any]) -> int:
    """Make a call and return the status of its answer; the client does not tell 200 from 202."""
    try:
        call()
    except Refused as refusal:
        return int(refusal.http_status)
    return 202


def test_of_two_restarts_one_is_done_and_the_other_refused_or_done_after_it(coffer: Standalone) -> None:
    password = secrets.token_urlsafe(12)
    tenants = [Tenant(coffer.url), Tenant(coffer.url)]
    instance_id = tenants[0].create_active(users={"alice": password})
    answers: list[int] = []

    for _ in range(ROUNDS):
        answers += together(
            2, lambda number: answer(lambda: tenants[number].api.instances.restart(instance_id))
        )
        tenants[0].wait_for(instance_id, "ACTIVE")

    runs = settled(coffer).of("instance_restart")
    assert set(answers) <= {202, 422}
    assert sorted(answers) == sorted(202 if run.succeeded else 422 for run in runs)
    assert len(runs) == 2 * ROUNDS
    assert all(run.error["error_code"] == "wrong_state" for run in runs if not run.succeeded)
    for earlier, later in itertools.pairwise(runs):
        if earlier.succeeded and later.succeeded:
            assert earlier.ending["timestamp"] <= later.start["timestamp"], "they did not overlap"
    with tenants[0].log_in(instance_id, database="shop", user="alice", password=password) as session:
        assert session.execute("select 1").fetchone() == (1,)


def test_a_restart_and_new_databases_leave_no_run_open_and_no_database_half_made(coffer: Standalone) -> None:
    password = secrets.token_urlsafe(12)
    tenants = [Tenant(coffer.url), Tenant(coffer.url)]
    instance_id = tenants[0].create_active(users={"alice": password})
    answers: list[list[int]] = []

    for turn in range(ROUNDS):
        calls: list[Callable[[], Any]] = [
            lambda: tenants[0].api.instances.restart(instance_id),
            lambda turn=turn: tenants[1].api.databases.create(  # type: ignore[misc]  # a lambda with a default
                instance_id, [{"name": f"one{turn}"}, {"name": f"two{turn}"}]
            ),
        ]
        answers.append(together(2, lambda number, calls=calls: answer(calls[number])))  # type: ignore[misc]
        coffer.settle()

    announced = settled(coffer)
    made = {run.start["payload"]["dbname"] for run in announced.of("database_create") if run.succeeded}
    assert len(announced.of("instance_restart")) == ROUNDS
    assert len(announced.of("database_create")) == 2 * ROUNDS
    assert [restart for restart, _ in answers] == [
        202 if run.succeeded else 422 for run in announced.of("instance_restart")
    ]
    tenants[0].wait_for_server(instance_id, "HEALTHY")
    present = {each.name for each in tenants[0].api.databases.list(instance_id)}
    assert present == made | {"shop"}
    bob = {"name": "bob", "password": password, "databases": [{"name": each} for each in made | {"shop"}]}
    tenants[0].api.users.create(instance_id, [bob])
    assert settled(coffer).only("user_create").succeeded


@pytest.mark.parametrize("rival", ["delete", "restart", "create databases"])
def test_a_deletion_wins_or_is_refused_and_the_instance_goes_in_the_end(
    coffer: Standalone, rival: str
) -> None:
    tenants = [Tenant(coffer.url), Tenant(coffer.url)]
    instance_id = tenants[0].create_active()
    rivals: dict[str, Callable[[], Any]] = {
        "delete": lambda: tenants[1].api.instances.delete(instance_id),
        "restart": lambda: tenants[1].api.instances.restart(instance_id),
        "create databases": lambda: tenants[1].api.databases.create(
            instance_id, [{"name": f"d{number}"} for number in range(5)]
        ),
    }
    calls = [lambda: tenants[0].api.instances.delete(instance_id), rivals[rival]]

    answers = together(2, lambda number: answer(calls[number]))

    assert 202 in answers
    assert set(answers) <= {202, 422, 404, 500, 503}
    coffer.settle()
    if tenants[0].status_of(instance_id) != "gone":
        tenants[0].api.instances.delete(instance_id)
        tenants[0].wait_until_gone(instance_id)
    announced = settled(coffer)
    assert sum(run.succeeded for run in announced.of("instance_delete")) == 1
    assert not coffer.guest_dir(instance_id).exists()
    assert about(coffer.guest_dir(instance_id)) == []
    assert coffer.condition()["is_well"]
