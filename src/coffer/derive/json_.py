"""The events as JSON, in the public shape that other programs rely on."""

import json

from coffer.catalogue.event import Event
from coffer.catalogue.events import EVENTS
from coffer.catalogue.traits import Trait


def text() -> str:
    """Return `{"events": [...]}`, one event a type, in the order of the catalogue."""
    return json.dumps({"events": [_event(event) for event in EVENTS.values()]}, indent=2) + "\n"


def _event(event: Event) -> dict[str, object]:
    return {
        "event_type": event.event_type,
        "severity": event.severity,
        "operation": event.operation,
        "traits": [_trait(trait) for trait in event.traits],
        "extension_traits": [_trait(trait) for trait in event.extension_traits],
    }


def _trait(trait: Trait) -> dict[str, object]:
    return {
        "name": trait.name,
        "type": trait.type,
        "required": trait.required,
        "description": trait.description,
    }
