"""No operation on a single instance comes into the catalogue without the three cases that try it on a real server."""

import inspect

import pytest
from tests.functional.operations.table import ROWS

from coffer.catalogue.operations import OPERATIONS, Operation

SINGLE = [operation for operation in OPERATIONS.values() if operation.subject != "cluster"]


def test_the_operations_of_a_single_instance_are_those_of_the_specification() -> None:
    assert len(SINGLE) == 24


@pytest.mark.parametrize(
    "operation",
    [each for each in OPERATIONS.values() if each in SINGLE or each.built],
    ids=lambda operation: operation.name,
)
def test_an_operation_has_a_row_with_three_cases(operation: Operation) -> None:
    row = ROWS.get(operation.name)

    assert row is not None, f"{operation.name} lacks a row in tests/functional/operations"
    cases = [row.success, row.user_fault, row.system_fault]
    assert len({case.__code__ for case in cases}) == len(cases)
    assert all(inspect.isgeneratorfunction(case) for case in cases)


def test_a_row_is_of_an_operation_and_of_one_only() -> None:
    assert ROWS.keys() <= OPERATIONS.keys()
    assert {name: row.operation for name, row in ROWS.items()} == {name: name for name in ROWS}
