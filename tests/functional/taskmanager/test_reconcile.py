"""When a taskmanager starts: nothing runs and nothing lies on disk that nobody owns."""

import logging
import uuid
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest
from tests.support.plane import PROJECT, Plane
from tests.support.rows import new_instance
from tests.support.waiting import wait_for

from coffer.catalogue.errors import CloudFailed
from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.clouds.cloud import ServerSpec
from coffer.clouds.local.flavors import DEFAULT_FLAVORS
from coffer.store import instances
from coffer.taskmanager.reconcile import reconcile


def placed(plane: Plane) -> str:
    """Make a place in the cloud for an instance that the database does not know, and return its id."""
    instance_id = str(uuid.uuid4())
    plane.cloud.create(
        ServerSpec(
            instance_id=instance_id,
            name="books",
            datastore="postgresql",
            datastore_version="17",
            flavor=DEFAULT_FLAVORS[0],
            volume_gib=1,
            availability_zone=None,
        )
    )
    return instance_id


def known(plane: Plane, instance_id: str, **fields: object) -> None:
    with plane.database.writing() as tx:
        instances.insert(tx, new_instance(id=instance_id, project_id=PROJECT, **fields))


def test_what_is_left_of_a_deleted_instance_is_removed(plane: Plane) -> None:
    instance_id = placed(plane)
    known(plane, instance_id, state=InstanceState.DELETED, deleted_at=plane.api.clock())

    reconcile(plane.database, plane.cloud)

    assert plane.cloud.owned() == []


@pytest.mark.parametrize("state", [InstanceState.ERROR, InstanceState.BUILD, InstanceState.SHUTDOWN])
def test_a_broken_instance_is_still_its_tenant_s(plane: Plane, state: InstanceState) -> None:
    instance_id = placed(plane)
    known(plane, instance_id, state=state)

    reconcile(plane.database, plane.cloud)

    assert plane.cloud.owned() == [instance_id]


def test_what_the_database_does_not_know_is_left_and_reported(
    plane: Plane, caplog: pytest.LogCaptureFixture
) -> None:
    """Perhaps it is the database that was lost, and the data is all that is left."""
    instance_id = placed(plane)
    plane.launcher.stop(instance_id)

    with caplog.at_level(logging.ERROR):
        reconcile(plane.database, plane.cloud)

    assert plane.cloud.owned() == [instance_id]
    assert (
        f"the cloud has an instance that the database does not know instance_id={instance_id}" in caplog.text
    )


def test_the_agents_of_live_instances_are_started(plane: Plane) -> None:
    living, dead = plane.active(), placed(plane)
    known(plane, dead, state=InstanceState.DELETED, deleted_at=plane.api.clock())
    plane.local_cloud.stop_guests()
    heard_at = plane.instance(living).service_seen_at
    assert heard_at is not None

    reconcile(plane.database, plane.cloud)

    def is_heard_again() -> bool:
        seen_at = plane.instance(living).service_seen_at
        return seen_at is not None and seen_at > heard_at

    wait_for(is_heard_again, 20, "a sign of life of the new agent")
    assert plane.instance(living).service_status == ServiceStatus.HEALTHY
    assert plane.cloud.owned() == [living]


class StubbornCloud:
    """A cloud in which one instance cannot be removed."""

    def __init__(self, plane: Plane, stubborn: str) -> None:
        self._plane = plane
        self._stubborn = stubborn
        self.started: list[str] = []

    def owned(self) -> Sequence[str]:
        return self._plane.local_cloud.owned()

    def delete(self, instance_id: str) -> None:
        if instance_id == self._stubborn:
            raise CloudFailed(reason="A process of the instance cannot be stopped.")
        self._plane.local_cloud.delete(instance_id)

    def start_guests(self, instance_ids: Collection[str]) -> None:
        self.started += instance_ids


def test_one_that_cannot_be_removed_does_not_keep_the_others(
    plane: Plane, caplog: pytest.LogCaptureFixture
) -> None:
    gone = [placed(plane) for _ in range(3)]
    for instance_id in gone:
        known(plane, instance_id, state=InstanceState.DELETED, deleted_at=plane.api.clock())
    living = placed(plane)
    known(plane, living, state=InstanceState.ACTIVE)
    stubborn = min(gone)
    cloud = StubbornCloud(plane, stubborn)

    reconcile(plane.database, cloud)  # type: ignore[arg-type]  # what it lacks is not asked for

    assert set(plane.cloud.owned()) == {stubborn, living}
    assert cloud.started == [living]
    assert f"something is still left instance_id={stubborn}" in caplog.text


def test_an_empty_cloud_is_in_order(plane: Plane, tmp_path: Path) -> None:
    reconcile(plane.database, plane.cloud)

    assert plane.cloud.owned() == []
    assert not list((tmp_path / "cloud").glob("instances/*"))
