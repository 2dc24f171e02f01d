"""A change of a configuration group is not lost, whatever else is done to the instance at the same time."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.functional.control_plane.backing_up import begun, ended, held_up
from tests.functional.control_plane.grouping import attach, change, group_of, status_of
from tests.support.control_plane import ControlPlane
from tests.support.waiting import wait_for

GUEST_S = 1.0
FLAVORS = ("1", "2")


@pytest.fixture
def plain(control: ControlPlane, instance_id: str) -> Iterator[str]:
    """The shared instance, detached, running and of its first flavor, before and after."""
    yield instance_id
    wait_for(lambda: attach(control, instance_id, None)[0] == 202, 60, "the instance to be detached")
    if status_of(control, instance_id) != "ACTIVE":
        assert control.action(instance_id, {"restart": {}}) == 202
        control.wait_for(instance_id, "ACTIVE")
    if control.row(instance_id).flavor_id != FLAVORS[0]:
        resize(control, instance_id, FLAVORS[0])


@contextmanager
def away(control: ControlPlane, instance_id: str) -> Iterator[None]:
    """Let the guest of an instance be away for the block."""
    control.launcher.stop(instance_id)
    control.site.guest_timeouts_s = {"timeout_s": GUEST_S, "restart_timeout_s": GUEST_S}
    try:
        yield
    finally:
        control.site.guest_timeouts_s = {}
        control.launcher.launch(control.guest_dir(instance_id))
        control.wait_until_healthy(instance_id)


def resize(control: ControlPlane, instance_id: str, flavor_id: str) -> None:
    assert control.action(instance_id, {"resize": {"flavorRef": flavor_id}}) == 202
    idle(control)


def idle(control: ControlPlane) -> None:
    wait_for(lambda: control.open_runs() == [], 60, "the run to end")


@pytest.mark.usefixtures("no_backups")
def test_an_instance_that_is_backed_up_gets_the_change(control: ControlPlane, plain: str) -> None:
    group_id = group_of(control, work_mem="5MB")
    assert attach(control, plain, group_id)[0] == 202

    with held_up(control, plain):
        backup_id = begun(control, plain)
        assert change(control, "PATCH", group_id, work_mem="6MB") == (200, None)
        assert control.ask(plain, "show work_mem") == "6MB"
        assert status_of(control, plain) == "BACKUP"
    ended(control, backup_id)
    assert status_of(control, plain) == "ACTIVE"

    with held_up(control, plain):
        backup_id = begun(control, plain)
        assert change(control, "PATCH", group_id, max_connections=33) == (200, None)
        assert status_of(control, plain) == "BACKUP"
    ended(control, backup_id)
    assert status_of(control, plain) == "RESTART_REQUIRED"

    with held_up(control, plain):
        backup_id = begun(control, plain)
        assert change(control, "PUT", group_id, work_mem="6MB") == (202, None)
    ended(control, backup_id)
    assert status_of(control, plain) == "ACTIVE", "the change was taken back in time"


@pytest.mark.usefixtures("no_backups")
def test_one_that_is_backed_up_and_cannot_be_told_wants_a_restart_afterwards(
    control: ControlPlane, plain: str
) -> None:
    group_id = group_of(control, work_mem="5MB")
    assert attach(control, plain, group_id)[0] == 202
    with held_up(control, plain):
        backup_id = begun(control, plain)
        with away(control, plain):
            assert change(control, "PATCH", group_id, work_mem="6MB")[0] == 503
    ended(control, backup_id)
    idle(control)

    assert status_of(control, plain) == "RESTART_REQUIRED"
    assert control.action(plain, {"restart": {}}) == 202
    control.wait_for(plain, "ACTIVE")
    assert control.ask(plain, "show work_mem") == "6MB"


def test_another_flavor_brings_what_waited_for_a_restart(control: ControlPlane, plain: str) -> None:
    group_id = group_of(control, max_connections=33)
    assert attach(control, plain, group_id)[0] == 202
    assert status_of(control, plain) == "RESTART_REQUIRED"

    resize(control, plain, FLAVORS[1])

    assert control.ask(plain, "show max_connections") == "33"
    assert status_of(control, plain) == "ACTIVE"


def test_another_flavor_brings_what_the_guest_was_never_told(control: ControlPlane, plain: str) -> None:
    group_id = group_of(control, work_mem="5MB")
    assert attach(control, plain, group_id)[0] == 202
    with away(control, plain):
        assert change(control, "PATCH", group_id, work_mem="6MB")[0] == 503

    resize(control, plain, FLAVORS[1])

    assert (control.ask(plain, "show work_mem"), status_of(control, plain)) == ("6MB", "ACTIVE")
    with away(control, plain):
        assert change(control, "PATCH", group_id, max_connections=33)[0] == 503

    resize(control, plain, FLAVORS[0])

    # It restarted before it was told.
    assert status_of(control, plain) == "RESTART_REQUIRED"


def test_a_restart_that_is_required_still_is_when_restart_or_resize_fail(
    control: ControlPlane, plain: str
) -> None:
    group_id = group_of(control, max_connections=33)
    assert attach(control, plain, group_id)[0] == 202
    for action in (
        {"restart": {}},
        {"resize": {"flavorRef": FLAVORS[1]}},
        {"resize": {"volume": {"size": 2}}},
    ):
        with away(control, plain):
            assert control.action(plain, action) == 202
            idle(control)
        assert status_of(control, plain) == "RESTART_REQUIRED"
    assert control.row(plain).fault_code == "guest_unreachable"

    assert control.action(plain, {"restart": {}}) == 202
    control.wait_for(plain, "ACTIVE")
    assert control.ask(plain, "show max_connections") == "33"
    assert control.row(plain).fault_code is None
