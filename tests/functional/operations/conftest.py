"""One control plane and one instance for all cases."""

from collections.abc import Iterator

import pytest

NOUNS = ("instances", "replication", "backups", "databases", "users", "configurations")
# What they assert is told in full only if this comes before they are imported.
pytest.register_assert_rewrite(
    *(f"tests.functional.operations.{name}" for name in ("judge", "stage", *NOUNS))
)

from tests.functional.operations.stage import Stage  # noqa: E402
from tests.support.control_plane import ControlPlane  # noqa: E402
from tests.support.scratch import scratch  # noqa: E402


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Quotas are none here but where a case sets them."""
    unlimited = {"max_instances_per_tenant": -1, "max_volumes_per_tenant": -1}
    with scratch() as root, ControlPlane(root, **unlimited) as control:
        yield Stage(control, control.create_active())
