"""The events against the specification, whose facts a script once took out of its text."""

import json
from pathlib import Path

import pytest

from coffer.catalogue.event import Event, Phase, Severity
from coffer.catalogue.events import EVENTS, operation_event
from coffer.catalogue.facts import QUOTA
from coffer.catalogue.operations import IDENTIFYING, OPERATIONS, Operation
from coffer.catalogue.traits import TraitType

SPECIFIED: dict[str, dict[str, list[str]]] = json.loads(
    (Path(__file__).parents[2] / "samples" / "spec-traits.json").read_text()
)["events"]

operations = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)


def names(event: Event, *, ours: bool) -> set[str]:
    return {trait.name for trait in (event.extension_traits if ours else event.traits)}


def test_there_are_93_events_and_656_documented_pairs() -> None:
    assert len(EVENTS) == 93
    assert sum(len(event.traits) for event in EVENTS.values()) == 656


def test_the_events_are_those_of_the_specification() -> None:
    assert set(EVENTS) == set(SPECIFIED)


@pytest.mark.parametrize("event_type", SPECIFIED)
def test_the_documented_traits_have_the_specified_names_types_and_fields(event_type: str) -> None:
    declared = {trait.name: [trait.type, trait.field] for trait in EVENTS[event_type].traits}

    assert declared == SPECIFIED[event_type]


def test_errors_and_nothing_else_go_out_as_errors() -> None:
    for name, event in EVENTS.items():
        assert (event.severity is Severity.ERROR) == name.endswith(".error")


@operations
def test_every_event_of_a_run_names_the_run(operation: Operation) -> None:
    for phase in Phase:
        assert "run_id" in names(operation_event(operation, phase), ours=True)


@operations
def test_an_ending_repeats_what_its_start_identified_and_says_how_long_it_took(operation: Operation) -> None:
    start = operation_event(operation, Phase.START)
    identified = {trait.name for trait in start.all_traits} & IDENTIFYING

    for phase in (Phase.END, Phase.ERROR):
        ending = operation_event(operation, phase)
        assert identified <= {trait.name for trait in ending.all_traits}
        duration = next(trait for trait in ending.extension_traits if trait.name == "duration_s")
        assert (duration.type, duration.unit) == (TraitType.FLOAT, "s")


@operations
def test_only_an_error_says_whose_fault_it_is(operation: Operation) -> None:
    for phase in Phase:
        judged = {"error_code", "fault"} & names(operation_event(operation, phase), ours=True)
        assert judged == ({"error_code", "fault"} if phase is Phase.ERROR else set())


def test_an_event_takes_its_call_from_its_operation() -> None:
    event = EVENTS["dbaas.user_revoke.start"]

    assert (event.operation, event.phase) == ("user_revoke", Phase.START)
    assert event.rest == OPERATIONS["user_revoke"].rest


def test_every_status_notification_says_whose_it_is_though_the_specification_forgot() -> None:
    for event in EVENTS.values():
        if event.operation is None:
            assert "tenant_id" in names(event, ours=True)


def test_a_period_carries_what_its_bill_needs() -> None:
    assert names(EVENTS["trove.instance.exists"], ours=True) == {
        "tenant_id",
        "instance_size",
        "volume_size",
        "cluster_id",
    }


def test_sizes_and_durations_have_units() -> None:
    for event in EVENTS.values():
        for trait in event.all_traits:
            if trait.type in {TraitType.INT, TraitType.FLOAT} and event.event_type != QUOTA:
                assert trait.unit, f"{event.event_type}: {trait.name}"


def test_the_fact_of_an_instance_finds_its_id_in_the_field_of_another_name() -> None:
    (trait,) = [each for each in EVENTS["trove.instance.create"].traits if each.name == "resource_id"]

    assert trait.field == "instance_id"


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        EVENTS["dbaas.instance_fly.start"] = EVENTS[QUOTA]  # type: ignore[index]
