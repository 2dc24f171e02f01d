"""A control plane with one instance, shared by the tests of a module."""

from collections.abc import Iterator

import pytest
from tests.functional.control_plane.backing_up import DONE_S, delete, usage
from tests.support.control_plane import ControlPlane
from tests.support.scratch import scratch
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def control() -> Iterator[ControlPlane]:
    """A control plane that serves; -1 lets tests make what they like."""
    with scratch() as root, ControlPlane(root, max_instances_per_tenant=-1) as started:
        yield started


@pytest.fixture(scope="module")
def instance_id(control: ControlPlane) -> str:
    """An instance that serves."""
    return control.create_active(flavor="1", volume_gib=1)


@pytest.fixture
def no_backups(control: ControlPlane) -> Iterator[None]:
    """Leave none behind, so that no test meets those of another."""
    yield
    wait_for(lambda: control.open_runs() == [], DONE_S, "the runs to end")
    while found := control.call("GET", "/backups")[1]["backups"]:
        delete(control, found[-1]["id"] if found[-1]["parent_id"] is None else found[0]["id"])
    assert usage(control) == (0, 0)
    assert not list((control.root / "backups").glob("*"))
