"""Limits: what a project may have at most."""

from coffer.api.call import Answer, Call

UNLIMITED = -1


def index(_call: Call) -> Answer:
    """Show the absolute limits, first and alone: no quotas are enforced yet, and calls are not rationed."""
    absolute = {
        "verb": "ABSOLUTE",
        "max_instances": UNLIMITED,
        "max_ram": UNLIMITED,
        "max_volumes": UNLIMITED,
        "max_backups": UNLIMITED,
    }
    return Answer(200, {"limits": [absolute]})
