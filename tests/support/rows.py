"""Rows for tests: complete, unremarkable, each field to be overridden by name."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from coffer.catalogue.states import BackupState
from coffer.store.backups import Backup
from coffer.store.instances import Instance
from coffer.store.outbox import OutboxRow
from coffer.store.runs import Run
from coffer.store.services import Service

NOON = datetime(2026, 3, 29, 12, 0, 0, 123456, tzinfo=UTC)


def new_instance(**fields: Any) -> Instance:
    """Return an instance in BUILD, made at `NOON`."""
    defaults: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "project_id": "project-1",
        "user_id": "user-1",
        "name": "shop",
        "datastore": "postgresql",
        "datastore_version": "17",
        "flavor_id": "1",
        "flavor_name": "tiny",
        "ram_mib": 512,
        "volume_gib": 2,
        "region": "RegionOne",
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Instance(**{**defaults, **fields})


def new_backup(**fields: Any) -> Backup:
    """Return a full backup, made at `NOON`."""
    defaults: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "project_id": "project-1",
        "instance_id": str(uuid.uuid4()),
        "name": "nightly",
        "datastore": "postgresql",
        "datastore_version": "17",
        "volume_gib": 2,
        "state": BackupState.COMPLETED,
        "location": "somewhere/archive",
        "size_bytes": 1000,
        "checksum": "0" * 64,
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Backup(**{**defaults, **fields})


def new_run(**fields: Any) -> Run:
    """Return an open run that began at `NOON` and has ten minutes."""
    defaults: dict[str, Any] = {
        "run_id": str(uuid.uuid4()),
        "operation": "instance_create",
        "request_id": f"req-{uuid.uuid4()}",
        "project_id": "project-1",
        "user_id": "user-1",
        "traits": '{"name": "shop"}',
        "client_ip": "127.0.0.1:40000",
        "context": "{}",
        "owner": "api-1",
        "started_at": NOON,
        "deadline_at": NOON + timedelta(minutes=10),
    }
    return Run(**{**defaults, **fields})


def new_message(**fields: Any) -> OutboxRow:
    """Return a message of no run."""
    defaults: dict[str, Any] = {
        "run_id": None,
        "event_type": "trove.instance.exists",
        "severity": "info",
        "created_at": NOON,
        "body": b'{"oslo.version": "2.0"}',
    }
    return OutboxRow(**{**defaults, **fields})


def new_service(**fields: Any) -> Service:
    """Return a taskmanager that started at `NOON`."""
    defaults: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "kind": "taskmanager",
        "host": "control-1",
        "pid": 4711,
        "started_at": NOON,
        "seen_at": NOON,
    }
    return Service(**{**defaults, **fields})
