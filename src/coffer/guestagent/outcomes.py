"""How a run ended, in the form in which a guest tells it."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Final

from coffer.catalogue.errors import CofferError, GuestFailed
from coffer.catalogue.masking import mask_secrets
from coffer.wire.json import JSON

_TRACE_LIMIT: Final = 4096


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
        etype, message = error.code, mask_secrets(error.message)
        data: dict[str, JSON] = {name: mask_secrets(str(value)) for name, value in error.data.items()}
    else:
        etype, message, data = type(error).__name__, f"The guest agent failed ({type(error).__name__}).", {}
    return Failed(etype=etype, value={"data": data, "message": message}, trace=_trace(error, message))


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


def _trace(error: Exception, message: str) -> str:
    """Return the error and the places it came through, innermost first; no source lines, no values."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    places = [f"  at {PurePath(each.filename).name}:{each.lineno} in {each.name}" for each in frames]
    text = "\n".join([f"{type(error).__name__}: {message}", *places])
    return text if len(text) <= _TRACE_LIMIT else text[: _TRACE_LIMIT - 1] + "…"
