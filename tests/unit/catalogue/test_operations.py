"""The rows of the table keep the promises that other floors rely on."""

import re

import pytest

from coffer.catalogue.events import EVENTS
from coffer.catalogue.operation import Operation, ServerType
from coffer.catalogue.operations import OPERATIONS
from coffer.catalogue.states import USABLE, InstanceState

operations = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)


def test_there_are_29_operations_in_the_order_of_the_specification() -> None:
    told = [name.split(".")[1] for name in EVENTS if name.endswith(".start")]

    assert len(OPERATIONS) == 29
    assert told == list(OPERATIONS)


def test_what_the_api_serves_today() -> None:
    assert {name for name, operation in OPERATIONS.items() if operation.built} == {
        "instance_create",
        "instance_restart",
        "instance_resize_volume",
        "instance_resize_instance",
        "instance_promote",
        "instance_eject",
        "instance_delete",
        "instance_detach",
        "database_create",
        "database_delete",
        "user_create",
        "user_delete",
        "user_update_attributes",
        "user_grant",
        "user_revoke",
        "user_change_password",
        "instance_attach_configuration",
        "instance_detach_configuration",
        "configuration_create",
        "configuration_delete",
        "configuration_update",
        "configuration_edit",
        "backup_create",
        "backup_delete",
    }


@operations
def test_the_call_is_one_method_and_one_path_of_the_real_api(operation: Operation) -> None:
    assert re.fullmatch(
        r"(POST|PUT|PATCH|DELETE) /v1\.0/\{project_id\}(/[a-z_]+|/\{[a-z_]+\})+", operation.rest
    )


def test_operations_of_one_call_are_told_apart_by_the_body() -> None:
    calls = [(operation.rest, operation.body) for operation in OPERATIONS.values()]

    assert len(set(calls)) == len(calls)


def test_one_call_with_several_items_is_one_run_an_item() -> None:
    items = {name: each.item_trait for name, each in OPERATIONS.items() if each.item_trait}

    assert items == {
        "database_create": "dbname",
        "user_create": "username",
        "user_change_password": "username",
        "user_grant": "database",
    }


@operations
def test_a_state_in_between_is_left_again(operation: Operation) -> None:
    """After a run nobody would move an instance out of its `during`; a second run needs one of `allowed`."""
    move = operation.move
    if move is None or move.during is None:
        return
    assert move.during not in move.allowed
    assert move.during not in {move.end, move.error}


@operations
def test_only_what_concerns_an_instance_moves_one(operation: Operation) -> None:
    if operation.move is not None:
        assert "instance_id" in {trait.name for trait in (*operation.start, *operation.extension)}


def test_a_failed_restart_can_be_tried_again() -> None:
    move = OPERATIONS["instance_restart"].move

    assert move is not None
    assert move.error is None, "as before it, and before it a restart was allowed"


def test_whatever_state_a_failure_leaves_can_be_deleted() -> None:
    delete = OPERATIONS["instance_delete"].move
    assert delete is not None
    left = {each.move.error for each in OPERATIONS.values() if each.move and each.move.error}

    assert left <= delete.allowed
    assert USABLE | {InstanceState.ERROR} == delete.allowed


def test_only_what_is_idempotent_and_carries_no_secret_is_dispatched_again() -> None:
    resumable = {name for name, each in OPERATIONS.items() if each.resumable}

    assert {"instance_delete", "instance_resize_instance", "instance_resize_volume"} <= resumable
    assert not {"instance_create", "user_create", "user_change_password"} & resumable


def test_synchronous_operations_are_ended_by_the_api() -> None:
    ended_by_api = {name for name, each in OPERATIONS.items() if each.ended_by is ServerType.API}

    assert {"user_grant", "user_revoke", "configuration_create", "configuration_edit"} <= ended_by_api
