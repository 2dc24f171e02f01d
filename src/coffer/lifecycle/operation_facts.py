"""What the three events of a run say, from the stored run. Pure.

Tenant, request id, client and identifying traits always come from the run as it was stored when it began, never from
whoever ends it (G7).
"""

import json
from collections.abc import Mapping
from datetime import datetime

from coffer.catalogue.operations import IDENTIFYING, Operation
from coffer.lifecycle.emitter import Emitter
from coffer.lifecycle.payloads import Value
from coffer.store.runs import Run


def start_values(run: Run, traits: Mapping[str, Value], emitter: Emitter) -> dict[str, Value]:
    """Return the facts of `.start`."""
    return {**traits, **_base(run, emitter)}


def ending_values(run: Run, added: Mapping[str, Value], emitter: Emitter, now: datetime) -> dict[str, Value]:
    """Return the facts of `.end` or `.error`: what the start identified, how long it took, what was added."""
    started: dict[str, Value] = json.loads(run.traits)
    identifying = {key: value for key, value in started.items() if key in IDENTIFYING}
    duration_s = max(0.0, (now - run.started_at).total_seconds())
    return {**identifying, **added, "duration_s": duration_s, **_base(run, emitter)}


def own_subject(operation: Operation, traits: Mapping[str, str | int]) -> str | None:
    """Return the instance that an item is about by itself, where each of a call makes another one."""
    if operation.subject != "instance" or "instance_id" not in traits:
        return None
    return str(traits["instance_id"])


def _base(run: Run, emitter: Emitter) -> dict[str, Value]:
    return {
        "tenant_id": run.project_id,
        "client_ip": run.client_ip,
        "server_ip": emitter.server_ip,
        "server_type": str(emitter.server_type),
        "request_id": run.request_id,
        "run_id": run.run_id,
    }
