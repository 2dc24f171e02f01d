"""The self-check of the catalogue finds what would be wrong with it."""

from dataclasses import replace
from typing import Any

import pytest

from coffer.catalogue.check import CatalogueError, check
from coffer.catalogue.event import Event, Severity
from coffer.catalogue.events import EVENTS
from coffer.catalogue.operation import Operation
from coffer.catalogue.operations import OPERATIONS
from coffer.catalogue.shared_traits import text

ROWS = tuple(OPERATIONS.values())
ALL = tuple(EVENTS.values())


def problems(operations: tuple[Operation, ...] = ROWS, events: tuple[Event, ...] = ALL) -> str:
    with pytest.raises(CatalogueError) as caught:
        check(operations, events)
    return "\n".join(caught.value.problems)


def with_event(name: str, **changes: Any) -> tuple[Event, ...]:
    return tuple(replace(event, **changes) if event.event_type == name else event for event in ALL)


def with_operation(name: str, **changes: Any) -> tuple[Operation, ...]:
    return tuple(replace(row, **changes) if row.name == name else row for row in ROWS)


def test_the_catalogue_agrees_with_itself() -> None:
    check(ROWS, ALL)


def test_a_trait_declared_twice_is_found() -> None:
    event = EVENTS["dbaas.user_create.start"]
    twice = with_event(event.event_type, extension_traits=(*event.extension_traits, event.traits[0]))

    assert "dbaas.user_create.start: trait tenant_id is declared 2 times" in problems(events=twice)


def test_two_traits_in_one_payload_field_are_found() -> None:
    event = EVENTS["trove.instance.create"]
    clash = with_event(
        event.event_type, extension_traits=(*event.extension_traits, text("instance_id", "Id."))
    )

    assert "payload field instance_id is declared 2 times" in problems(events=clash)


@pytest.mark.parametrize(
    "trait",
    [
        replace(text("username_hint", "A hint."), secret=True),
        text("password", "The user's password."),
        text("x_auth_token", "Who asks."),
    ],
    ids=lambda trait: trait.name,
)
def test_a_secret_trait_is_found(trait: Any) -> None:
    event = EVENTS["dbaas.user_create.start"]
    leaky = with_event(event.event_type, extension_traits=(*event.extension_traits, trait))

    assert f"dbaas.user_create.start would publish the secret {trait.name}" in problems(events=leaky)


def test_an_error_that_goes_out_as_information_is_found() -> None:
    calm = with_event("dbaas.user_create.error", severity=Severity.INFO)

    assert "dbaas.user_create.error has the severity info" in problems(events=calm)


def test_a_start_that_goes_out_as_an_error_is_found() -> None:
    alarming = with_event("dbaas.user_create.start", severity=Severity.ERROR)

    assert "dbaas.user_create.start has the severity error" in problems(events=alarming)


def test_a_missing_event_is_found() -> None:
    found = problems(events=tuple(event for event in ALL if event.event_type != "dbaas.user_create.end"))

    assert "there are 92 events, not 93" in found
    assert "user_create.end is in the table of operations or of events, but not in both" in found


def test_an_event_announced_twice_is_found() -> None:
    assert "event trove.quota is declared 2 times" in problems(events=(*ALL, EVENTS["trove.quota"]))


def test_a_forgotten_documented_trait_is_found() -> None:
    event = EVENTS["dbaas.user_grant.start"]
    found = problems(events=with_event(event.event_type, traits=event.traits[:-1]))

    assert "there are 655 documented pairs of event and trait, not 656" in found


def test_an_event_that_belongs_to_nobody_is_found() -> None:
    orphan = with_event("trove.quota", extension_traits=())

    assert "trove.quota does not say whose it is (tenant_id)" in problems(events=orphan)


def test_a_trait_without_a_sentence_is_found() -> None:
    event = EVENTS["trove.quota"]
    mute = with_event(event.event_type, extension_traits=(*event.extension_traits, text("colour", " ")))

    assert "trove.quota: colour has no description" in problems(events=mute)


def test_a_trait_of_a_type_that_ceilometer_does_not_know_is_found() -> None:
    event = EVENTS["trove.quota"]
    strange = replace(text("colour", "Its colour."), type="string")  # type: ignore[arg-type]
    typed = with_event(event.event_type, extension_traits=(*event.extension_traits, strange))

    assert "trove.quota: colour has the type string" in problems(events=typed)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"ended_by": "guest"}, "user_grant is ended by guest, which is no server type"),
        ({"subject": "user"}, "user_grant has the subject user"),
        ({"deadline_s": 0}, "user_grant has no deadline"),
        ({"item_trait": "dbname"}, "user_grant has the item dbname, which its start does not carry"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_a_wrong_row_is_found(changes: dict[str, Any], problem: str) -> None:
    assert problem in problems(with_operation("user_grant", **changes))


def test_an_operation_declared_twice_is_found() -> None:
    assert "operation user_grant is declared 2 times" in problems((*ROWS, OPERATIONS["user_grant"]))


def test_the_error_says_everything_at_once() -> None:
    rows = with_operation("user_grant", deadline_s=0)
    events = with_event("dbaas.user_create.error", severity=Severity.INFO)

    found = problems(rows, events)

    assert "user_grant has no deadline" in found
    assert "dbaas.user_create.error has the severity info" in found
