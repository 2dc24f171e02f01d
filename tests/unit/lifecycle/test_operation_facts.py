"""What the events of a run say: the stored run decides, whoever ends it."""

import json
from datetime import timedelta

import pytest
from tests.support.rows import NOON, new_run

from coffer.catalogue.events import Phase, operation_event
from coffer.catalogue.operations import OPERATIONS, Operation, ServerType
from coffer.catalogue.traits import Trait, TraitType
from coffer.lifecycle.emitter import Emitter
from coffer.lifecycle.operation_facts import ending_values, start_values
from coffer.lifecycle.payloads import Value, checked

CONDUCTOR = Emitter(ServerType.CONDUCTOR, "control-1", "127.0.0.1:0", "conductor-1")
RUN = new_run(
    operation="user_create",
    project_id="acme",
    request_id="req-1",
    client_ip="10.0.0.9:51234",
    traits=json.dumps({"instance_id": "i-1", "username": "alice", "flavor": "1"}),
)


def test_an_ending_repeats_what_its_start_identified_and_nothing_else() -> None:
    told = ending_values(RUN, {}, CONDUCTOR, NOON)

    assert (told["instance_id"], told["username"]) == ("i-1", "alice")
    assert "flavor" not in told


def test_an_ending_says_who_ends_it_and_whose_it_is() -> None:
    told = ending_values(RUN, {}, CONDUCTOR, NOON)

    assert told["server_type"] == "conductor"
    assert told["server_ip"] == "127.0.0.1:0"
    assert told["tenant_id"] == "acme"
    assert told["client_ip"] == "10.0.0.9:51234"
    assert told["request_id"] == "req-1"
    assert told["run_id"] == RUN.run_id


@pytest.mark.parametrize("forged", ["tenant_id", "request_id", "run_id", "client_ip", "server_type"])
def test_what_is_added_cannot_replace_whose_it_is(forged: str) -> None:
    assert ending_values(RUN, {forged: "forged"}, CONDUCTOR, NOON)[forged] != "forged"
    assert start_values(RUN, {forged: "forged"}, CONDUCTOR)[forged] != "forged"


def test_a_duration_is_in_seconds() -> None:
    told = ending_values(RUN, {}, CONDUCTOR, NOON + timedelta(minutes=2, milliseconds=5))

    assert told["duration_s"] == pytest.approx(120.005)


def test_a_clock_that_was_set_back_makes_no_negative_duration() -> None:
    assert ending_values(RUN, {}, CONDUCTOR, NOON - timedelta(hours=1))["duration_s"] == 0.0


def filled(trait: Trait) -> Value:
    values: dict[TraitType, Value] = {
        TraitType.TEXT: "x",
        TraitType.INT: 1,
        TraitType.FLOAT: 1.0,
        TraitType.DATETIME: NOON,
    }
    return values[trait.type]


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_every_operation_can_be_announced_with_all_that_it_requires(operation: Operation) -> None:
    """What the start identified, what every run has and the failure fill the endings; `end` traits are added."""
    traits = {trait.field: filled(trait) for trait in (*operation.start, *operation.extension)}
    run = new_run(operation=operation.name, traits=json.dumps(traits, default=str))
    failed: dict[str, Value] = {"message": "m", "exception": "e", "error_code": "c", "fault": "user"}
    ended = {trait.field: filled(trait) for trait in operation.end}
    told = {
        Phase.START: start_values(run, traits, CONDUCTOR),
        Phase.END: ending_values(run, ended, CONDUCTOR, NOON),
        Phase.ERROR: ending_values(run, failed, CONDUCTOR, NOON),
    }

    for phase, values in told.items():
        assert checked(operation_event(operation, phase), values).problems == ()
