"""What is left of creations that failed: nobody is billed for it, so nobody may go on using it."""

import pytest
from tests.functional.taskmanager.tasks import creation, do
from tests.support.plane import Plane

from coffer.catalogue.errors import CloudFailed, GuestFailed, InvalidParameter
from coffer.catalogue.states import InstanceState
from coffer.taskmanager.unlaunched import Unlaunched


@pytest.mark.parametrize("step", ["prepare", "apply_configuration"])
def test_the_server_of_a_failed_creation_is_removed_and_the_instance_says_why(
    plane: Plane, step: str
) -> None:
    _, body = plane.call(
        "POST",
        "/configurations",
        {"configuration": {"name": "large", "values": {"work_mem": 64}, "datastore": {"type": "postgresql"}}},
    )
    before = plane.cloud.create

    def failing(spec):  # type: ignore[no-untyped-def]  # the cloud's own, with something before it
        plane.server(spec.instance_id).fails[step] = InvalidParameter(reason="It does not fit.")
        return before(spec)

    plane.cloud.create = failing  # type: ignore[method-assign]
    failed = plane.create(configuration=body["configuration"]["id"])
    plane.wait_for_state(failed, InstanceState.ERROR)
    plane.cloud.create = before  # type: ignore[method-assign]
    served, building = plane.active(), plane.create()

    Unlaunched(plane.task, plane.cloud).step()

    assert failed not in plane.cloud.owned()
    row = plane.instance(failed)
    assert (row.state, row.fault_message) == (InstanceState.ERROR, "It does not fit.")
    assert (row.server_id, row.host, row.port) == (None, None, None)
    plane.wait_for_state(building, InstanceState.ACTIVE)
    assert sorted(plane.cloud.owned()) == sorted([served, building])
    assert plane.call("DELETE", f"/instances/{failed}")[0] == 202


def test_one_that_cannot_be_removed_is_tried_again_and_keeps_nobody_waiting(plane: Plane) -> None:
    ids = sorted(["00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"])
    for instance_id in ids:
        ctx = creation(plane, instance_id)
        plane.server(instance_id).fails["prepare"] = GuestFailed(reason="No.")
        do(plane, "create_instance", ctx, instance_id)
    plane.wait_until_idle()
    delete, refused = plane.cloud.delete, [ids[0]]

    def failing(instance_id: str) -> None:
        if instance_id in refused:
            refused.remove(instance_id)
            raise CloudFailed(reason="The disk is busy.")
        delete(instance_id)

    plane.cloud.delete = failing  # type: ignore[method-assign]
    now_s = [0.0]
    chore = Unlaunched(plane.task, plane.cloud, interval_s=30.0, monotonic_s=lambda: now_s[0])

    # One a step: between two the other chores of the taskmanager have their turn.
    assert [(chore.step(), sorted(plane.cloud.owned())) for _ in range(3)] == [
        (False, ids),
        (False, ids[:1]),
        (False, ids[:1]),
    ]
    now_s[0] = 30.0
    chore.step()
    assert plane.cloud.owned() == []
