"""A control plane with one instance, shared by the tests of a module."""

from collections.abc import Iterator

import pytest
from tests.support.control_plane import ControlPlane
from tests.support.scratch import scratch


@pytest.fixture(scope="module")
def control() -> Iterator[ControlPlane]:
    """A control plane that serves; -1 lets tests make what they like."""
    with scratch() as root, ControlPlane(root, max_instances_per_tenant=-1) as started:
        yield started


@pytest.fixture(scope="module")
def instance_id(control: ControlPlane) -> str:
    """An instance that serves."""
    return control.create_active(flavor="1", volume_gib=1)
