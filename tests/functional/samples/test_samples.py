"""The committed samples are what a control plane really announces."""

import difflib
import json

import pytest
from tests.samples.produce import Sample, committed, expected, produced

ADVICE = """
The wire form of {event_type} is not the committed one. Consumers read it, so:
  - not on purpose: mend the code;
  - something was added on purpose: python -m tests.samples.produce --write, look at the difference, commit it
    together with the change, and tell of it in CHANGELOG.md;
  - something was renamed, removed or has another type: do not; announce the new fact beside the old one.

{difference}"""


@pytest.fixture(scope="module")
def announced() -> dict[str, Sample]:
    """One sample an event, fresh from a control plane."""
    return produced()


def test_every_event_of_a_served_operation_is_announced(announced: dict[str, Sample]) -> None:
    assert set(announced) == expected()


@pytest.mark.parametrize("event_type", sorted(expected()))
def test_a_sample_is_what_the_code_produces(announced: dict[str, Sample], event_type: str) -> None:
    before, now = (_lines(samples.get(event_type)) for samples in (committed(), announced))

    difference = "\n".join(difflib.unified_diff(before, now, "committed", "announced", lineterm=""))
    assert not difference, ADVICE.format(event_type=event_type, difference=difference)


def test_no_sample_is_left_of_an_event_that_is_not_announced() -> None:
    assert set(committed()) == expected()


def test_no_sample_holds_a_password() -> None:
    assert "tiger" not in json.dumps(committed())


def _lines(sample: Sample | None) -> list[str]:
    return json.dumps(sample, indent=2, sort_keys=True).splitlines()
