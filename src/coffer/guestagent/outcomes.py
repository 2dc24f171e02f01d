"""How a run ended, in the form in which a guest tells it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from coffer.catalogue.errors import CofferError, GuestFailed
from coffer.catalogue.trace import MESSAGE_LIMIT, bounded, message_of, trace_of
from coffer.wire.json import JSON


@dataclass(frozen=True, slots=True)
class Ended:
    """A run did what it should; `traits` are what only the guest knows of it."""

    traits: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """A run failed: an error code of the catalogue or a class's name, data and message, the way it took."""

    etype: str
    value: dict[str, JSON]
    trace: str


Outcome = Ended | Failed


def failure_of(error: Exception) -> Failed:
    """Make of an error what may travel.

    The text of an error that is not ours can quote anything, so only its class is told.
    """
    if isinstance(error, CofferError):
        etype, message = error.code, message_of(error)
        data: dict[str, JSON] = {
            name: bounded(str(value), MESSAGE_LIMIT) for name, value in error.data.items()
        }
    else:
        etype, message, data = type(error).__name__, f"The guest agent failed ({type(error).__name__}).", {}
    return Failed(etype=etype, value={"data": data, "message": message}, trace=trace_of(error, message))


def interrupted(operation: str) -> Failed:
    """Return how a run ended that was under way when its agent died: nobody knows how far it came.

    It is the guest's failure, and so it is called: `owner_died` is said of the control plane, by itself only.
    """
    message = f"The guest agent stopped in the middle of {operation}."
    return Failed(
        etype=GuestFailed.code, value={"data": {"reason": message}, "message": message}, trace=message
    )


def outcome_to_json(outcome: Outcome) -> dict[str, JSON]:
    """Return the form in which an outcome is kept."""
    match outcome:
        case Ended(traits):
            return {"traits": dict(traits)} if traits else {}
        case Failed(etype, value, trace):
            return {"etype": etype, "value": value, "trace": trace}


def outcome_from_json(value: Mapping[str, JSON]) -> Outcome:
    """Read what was kept.

    Raises:
        TypeError: it is something else.
    """
    if not value:
        return Ended()
    traits = value.get("traits")
    if isinstance(traits, dict):
        return Ended(traits)
    etype, data, trace = value.get("etype"), value.get("value"), value.get("trace")
    if not (isinstance(etype, str) and isinstance(data, dict) and isinstance(trace, str)):
        raise TypeError("no outcome")
    return Failed(etype=etype, value=data, trace=trace)
