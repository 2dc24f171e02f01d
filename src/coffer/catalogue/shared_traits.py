"""The traits that many events share, and short ways to write those that differ in their sentence only.

Source: ceilometer-integration spec, `dbaas_base_traits` and the `.error` blocks; ours are marked.
"""

from coffer.catalogue.traits import Trait, TraitType


def text(name: str, description: str, *, required: bool = True) -> Trait:
    """Return a trait of type text."""
    return Trait(name=name, type=TraitType.TEXT, description=description, required=required)


def moment(name: str, description: str, *, required: bool = True) -> Trait:
    """Return a trait that is a point in time (UTC)."""
    return Trait(name=name, type=TraitType.DATETIME, description=description, required=required)


def number(name: str, description: str, *, unit: str | None = None, required: bool = True) -> Trait:
    """Return a trait that is a whole number of `unit`."""
    return Trait(name=name, type=TraitType.INT, description=description, unit=unit, required=required)


BASE = (
    text("tenant_id", "Project that the call was made for."),
    text("client_ip", "ip:port of the client that made the API call."),
    text(
        "server_ip", "ip:port of the service that wrote the event; port 0 where that service does not listen."
    ),
    text("server_type", "Service that wrote the event: api, task or conductor."),
    text("request_id", "Id of the API call; the same in the start and the ending of all its runs."),
)
"""In every event of a run."""

FAILED = (
    text("message", "Reason of the failure, for a person; free of secrets."),
    text("exception", "Where it failed: the reason, then the frames of the stack, innermost first."),
)
"""In every `.error`."""

RUN_ID = text("run_id", "Id of the run; the same in its start and its one ending, and in no other run.")
"""Ours, in every event of a run."""

DURATION_S = Trait(
    name="duration_s",
    type=TraitType.FLOAT,
    description="Time from the start of the run to its ending.",
    unit="s",
)
"""Ours, in every ending."""

JUDGED = (
    text("error_code", "Kind of the failure as a stable word, for counting; never renamed."),
    text("fault", "Whose failure it is: user (the caller's) or system (the control plane's)."),
)
"""Ours, in every `.error`."""

TENANT_ID = text("tenant_id", "Project that the resource belongs to.")
"""Ours in the status notifications, whose blocks in the specification lack it."""
