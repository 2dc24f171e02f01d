"""Configuration groups over HTTP: of calls that meet, each guest ends up with what its group says."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.functional.api.groups import change, made, put
from tests.functional.api.world import GuestDouble, Reply, World

from coffer.catalogue.states import InstanceState
from coffer.wire.context import TroveContext


class SlowGuest(GuestDouble):
    """A guest that takes its time over the first configuration it is given, and then writes down what it has."""

    def __init__(self, *, restart_required: bool = False) -> None:
        super().__init__()
        self.restart_required = restart_required
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.has: list[dict[str, str]] = []

    def apply_configuration(self, ctx: TroveContext, **args: Any) -> Any:
        if not self.asked.is_set():
            self.asked.set()
            assert self.go_on.wait(10)
        self.has.append(args["parameters"])
        return {"restart_required": self.restart_required}


def meanwhile(first: Callable[[], Reply], slow: SlowGuest, then: Callable[[], object]) -> Reply:
    """Make a call, do something while the guest is busy with it, and return the answer to the call."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        answer = pool.submit(first)
        assert slow.asked.wait(10)
        then()
        slow.go_on.set()
        return answer.result(10)


def test_of_two_changes_at_once_the_guest_keeps_what_the_group_says(world: World) -> None:
    group_id = made(world, work_mem="4MB")
    instance = world.has(configuration_id=group_id)
    slow = SlowGuest()
    world.start_guest(instance.id, slow)
    replies: list[Reply] = []

    first = meanwhile(
        lambda: change(world, "PATCH", group_id, values={"work_mem": "5MB"}),
        slow,
        lambda: replies.append(change(world, "PATCH", group_id, values={"work_mem": "6MB"})),
    )

    assert [first.status, *(reply.status for reply in replies)] == [200, 200]
    assert slow.has[-1] == {"work_mem": "6MB"}
    assert world.row(instance.id).state == InstanceState.ACTIVE


def test_who_is_attached_during_a_change_gets_the_change(world: World) -> None:
    group_id = made(world, work_mem="4MB")
    instance = world.has()
    slow = SlowGuest()
    world.start_guest(instance.id, slow)

    reply = meanwhile(
        lambda: put(world, instance.id, {"configuration": group_id}),
        slow,
        lambda: change(world, "PATCH", group_id, values={"work_mem": "6MB"}),
    )

    assert reply.status == 202
    assert slow.has[-1] == {"work_mem": "6MB"}
    assert world.row(instance.id).configuration_id == group_id


def test_of_two_groups_at_once_one_is_attached_and_the_guest_has_it(world: World) -> None:
    groups = made(world, work_mem="4MB"), made(world, work_mem="9MB")
    instance = world.has()
    slow = SlowGuest()
    world.start_guest(instance.id, slow)
    replies: list[Reply] = []

    first = meanwhile(
        lambda: put(world, instance.id, {"configuration": groups[0]}),
        slow,
        lambda: replies.append(put(world, instance.id, {"configuration": groups[1]})),
    )

    assert replies[0].status == 202
    assert (first.status, first.title) == (400, "badRequest")
    assert world.row(instance.id).configuration_id == groups[1]
    assert slow.has[-1] == {"work_mem": "9MB"}
    assert world.open_runs() == []


def test_who_comes_too_late_does_not_hide_that_the_other_waits_for_a_restart(world: World) -> None:
    groups = made(world, work_mem="4MB"), made(world, max_connections=80)
    instance = world.has()
    slow = SlowGuest(restart_required=True)
    world.start_guest(instance.id, slow)

    first = meanwhile(
        lambda: put(world, instance.id, {"configuration": groups[0]}),
        slow,
        lambda: put(world, instance.id, {"configuration": groups[1]}),
    )

    assert first.status == 400
    row = world.row(instance.id)
    assert (row.configuration_id, row.state) == (groups[1], InstanceState.RESTART_REQUIRED)


def test_a_group_that_is_deleted_meanwhile_is_not_attached(world: World) -> None:
    group_id = made(world, work_mem="4MB")
    instance = world.has()
    slow = SlowGuest()
    world.start_guest(instance.id, slow)

    reply = meanwhile(
        lambda: put(world, instance.id, {"configuration": group_id}),
        slow,
        lambda: world.call("DELETE", f"/configurations/{group_id}"),
    )

    assert (reply.status, reply.title) == (404, "itemNotFound")
    assert world.row(instance.id).configuration_id is None
    assert slow.has[-1] == {}
    assert world.row(instance.id).state == InstanceState.ACTIVE


def test_who_is_detached_during_a_change_does_not_get_it(world: World) -> None:
    group_id = made(world, work_mem="4MB")
    instance = world.has(configuration_id=group_id)
    slow = SlowGuest()
    world.start_guest(instance.id, slow)

    reply = meanwhile(
        lambda: change(world, "PATCH", group_id, values={"work_mem": "6MB"}),
        slow,
        lambda: put(world, instance.id, {}),
    )

    assert reply.status == 200
    assert world.row(instance.id).configuration_id is None
    assert slow.has[-1] == {}


def test_an_instance_that_another_operation_takes_meanwhile_is_not_attached(world: World) -> None:
    world.start_taskmanager()
    group_id = made(world, work_mem="4MB")
    instance = world.has()
    slow = SlowGuest()
    world.start_guest(instance.id, slow)

    reply = meanwhile(
        lambda: put(world, instance.id, {"configuration": group_id}),
        slow,
        lambda: world.call("POST", f"/instances/{instance.id}/action", {"restart": {}}),
    )

    assert (reply.status, reply.title) == (422, "unprocessableEntity")
    row = world.row(instance.id)
    assert (row.configuration_id, row.state) == (None, InstanceState.REBOOT)
    assert slow.has[-1] == {}
