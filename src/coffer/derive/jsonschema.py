"""JSON Schema of the notifications: what a message says, event by event.

Fields that a schema does not name are allowed: readers must ignore what they do not know.
"""

import json
from collections.abc import Mapping

from coffer.catalogue.event import Event
from coffer.catalogue.events import EVENTS
from coffer.catalogue.facts import OTHER_QUOTA_NAMES, QUOTA
from coffer.catalogue.traits import Trait, TraitType
from coffer.derive.yaml_text import Tree

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TYPES: Mapping[TraitType, Mapping[str, Tree]] = {
    TraitType.TEXT: {"type": "string"},
    TraitType.INT: {"type": "integer"},
    TraitType.FLOAT: {"type": "number"},
    TraitType.DATETIME: {"type": "string", "format": "date-time"},
}


def text() -> str:
    """Return one schema for every message; the payloads stand in its `$defs` by event type."""
    schema = {
        "$schema": DIALECT,
        "title": "A notification of coffer",
        "description": "The JSON text in oslo.message of the body. Derived from the catalogue.",
        "oneOf": [message(event, payload=f"#/$defs/{event.event_type}") for event in EVENTS.values()],
        "$defs": {event.event_type: payload(event) for event in EVENTS.values()},
    }
    return json.dumps(schema, indent=2) + "\n"


def message(event: Event, *, payload: str) -> dict[str, Tree]:
    """Return the schema of a message of this event; `payload` refers to the schema of its payload."""
    return {
        "type": "object",
        "required": ["message_id", "event_type", "priority", "publisher_id", "timestamp", "payload"],
        "properties": {
            "message_id": {
                "type": "string",
                "description": "Id of the event; a message that comes again has the same.",
            },
            "event_type": {"enum": list(names(event))},
            "priority": {"const": event.severity.upper()},
            "publisher_id": {"type": "string", "description": "<server_type>.<host> of the writer."},
            "timestamp": {
                "type": "string",
                "description": "When it happened, UTC: YYYY-MM-DD HH:MM:SS.ffffff.",
            },
            "payload": {"$ref": payload},
        },
    }


def names(event: Event) -> tuple[str, ...]:
    """Return the event types that this event goes out with (the quota's can be set)."""
    return (event.event_type, *OTHER_QUOTA_NAMES) if event.event_type == QUOTA else (event.event_type,)


def payload(event: Event) -> dict[str, Tree]:
    """Return the schema of the event's payload."""
    return {
        "type": "object",
        "description": event.sentence,
        "required": [trait.field for trait in event.all_traits if trait.required],
        "properties": {
            **{trait.field: _field(trait, documented=True) for trait in event.traits},
            **{trait.field: _field(trait, documented=False) for trait in event.extension_traits},
        },
    }


def _field(trait: Trait, *, documented: bool) -> dict[str, Tree]:
    notes = [trait.description]
    if trait.unit:
        notes.append(f"Unit: {trait.unit}.")
    if not documented:
        notes.append("Beyond the specification.")
    return {**_TYPES[trait.type], "description": " ".join(notes)}
