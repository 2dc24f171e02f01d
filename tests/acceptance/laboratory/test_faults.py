"""Something breaks while tenants are at work: no event is lost, none is told twice, every run ends.

A selection; `make soak` makes all the experiments and writes docs/faults.md.
"""

from collections.abc import Iterator

import pytest
from tests.support.laboratory.experiment import Fault, experiment
from tests.support.laboratory.faults import FAULTS
from tests.support.laboratory.site import Laboratory, laboratory
from tests.support.laboratory.table import markdown

pytestmark = [pytest.mark.rabbitmq, pytest.mark.postgresql]


@pytest.fixture(scope="module")
def place() -> Iterator[Laboratory]:
    with laboratory() as made:
        yield made


@pytest.mark.parametrize(
    "fault", [each for each in FAULTS.values() if each.is_fast], ids=lambda fault: fault.name
)
def test_whatever_breaks_every_run_is_told_once_and_in_order(place: Laboratory, fault: Fault) -> None:
    result = experiment(place, fault)
    print(markdown([result]))
    assert result.is_clean, "\n".join(result.verdict.flaws)
    assert result.answers, "the API did not answer"
