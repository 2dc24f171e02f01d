"""Runs that were on their way to a guest when its instance was deleted."""

from tests.functional.taskmanager.tasks import begun, do, run_of
from tests.support.plane import Plane


def test_what_the_guest_never_got_ends_with_the_deletion(plane: Plane) -> None:
    instance_id = plane.active()
    other_id = plane.active()
    waiting = begun(plane, "database_create", instance_id, dbname="shop")
    assert waiting.notification is not None
    plane.api.hand_over(waiting.notification.run_id, instance_id)
    elsewhere = begun(plane, "database_create", other_id, dbname="shop")

    do(plane, "delete_instance", begun(plane, "instance_delete", instance_id), instance_id)

    ended = run_of(plane, waiting)
    assert (ended.ending, ended.error_code, ended.fault) == ("error", "wrong_state", "user")
    assert ended.message == (
        f"Instance {instance_id} is DELETED; database_create needs one of ACTIVE, BACKUP, RESTART_REQUIRED."
    )
    assert plane.told()[-4:] == [
        *("instance_delete.start", "database_create.error"),
        *("instance_delete.end", "trove.instance.delete"),
    ]
    assert run_of(plane, elsewhere).ended_at is None, "what is another instance's goes on"
