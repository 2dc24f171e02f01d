"""One control plane and one instance for all cases."""

from collections.abc import Iterator

import pytest
from tests.functional.operations.stage import Stage
from tests.support.control_plane import ControlPlane
from tests.support.scratch import scratch


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Quotas are none here but where a case sets them."""
    unlimited = {"max_instances_per_tenant": -1, "max_volumes_per_tenant": -1}
    with scratch() as root, ControlPlane(root, **unlimited) as control:
        yield Stage(control, control.create_active())
