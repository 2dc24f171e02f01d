"""Limits: what a project may have at most."""

from coffer.api.call import Answer, Call


def index(call: Call) -> Answer:
    """Show the absolute limits, first and alone: calls are not rationed."""
    with call.services.database.reading() as tx:
        limits = call.services.quotas.limits(tx, call.project_id)
    absolute = {f"max_{resource}": limit for resource, limit in limits.items()}
    return Answer(200, {"limits": [{"verb": "ABSOLUTE", **absolute}]})
