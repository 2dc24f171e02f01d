"""Upstream's exists audit: its real transformer on its real schema, without Nova and without publishing."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from trove.common import cfg
from trove.datastore import models as datastores
from trove.db import get_db_api
from trove.extensions.mgmt.instances.models import NotificationTransformer
from trove.instance import models
from trove.instance.service_status import ServiceStatuses
from trove.instance.tasks import InstanceTasks


def fill(count: int) -> Callable[[], int]:
    """Prepare nothing; the work makes the schema and `count` instances."""

    def work() -> int:
        database = get_db_api()
        database.db_sync(cfg.CONF)
        database.configure_db()
        datastores.update_datastore("postgresql", None)
        datastores.update_datastore_version(
            "postgresql", "17", "postgresql", str(uuid.uuid4()), "", "", 1, version="17"
        )
        version = datastores.DBDatastoreVersion.find_by(name="17")
        datastores.update_datastore("postgresql", "17")
        for number in range(count):
            _insert(number, version.id)
        return count

    return work


def _insert(number: int, version_id: str) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    instance_id = str(uuid.uuid4())
    models.DBInstance(
        InstanceTasks.NONE,
        id=instance_id,
        created=now,
        updated=now,
        name=f"instance-{number}",
        compute_instance_id=str(uuid.uuid4()),
        volume_id=str(uuid.uuid4()),
        flavor_id="2",
        volume_size=10,
        tenant_id=f"project-{number % 1000}",
        datastore_version_id=version_id,
    ).save()
    models.InstanceServiceStatus(
        ServiceStatuses.HEALTHY, id=str(uuid.uuid4()), instance_id=instance_id
    ).save()


def exists() -> Callable[[], dict[str, Any]]:
    """Prepare nothing; the work makes the payloads of one audit."""

    def work() -> dict[str, Any]:
        return {"count": len(NotificationTransformer()())}

    return work
