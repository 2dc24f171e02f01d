"""AsyncAPI 3.0: where the notifications are sent, and what each says."""

from coffer.catalogue.event import Event, Severity
from coffer.catalogue.events import EVENTS
from coffer.derive import jsonschema
from coffer.derive.yaml_text import Tree, yaml_text

_HEADER = """
coffer's notifications. Derived from its catalogue: do not edit, write them anew with
  coffer catalogue --format asyncapi
"""

_EXCHANGE: dict[str, Tree] = {"name": "trove", "type": "topic"}


def text() -> str:
    """Return the document: a channel a severity, a message an event."""
    document: dict[str, Tree] = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "coffer notifications",
            "version": "1.0.0",
            "description": "Every change that coffer makes to a database service, announced once.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {severity.value: _channel(severity) for severity in Severity},
        "operations": {f"announce-{severity}": _operation(severity) for severity in Severity},
        "components": {
            "messages": {event.event_type: _message(event) for event in EVENTS.values()},
            "schemas": _schemas(),
        },
    }
    return yaml_text(_HEADER, document)


def _channel(severity: Severity) -> Tree:
    return {
        "address": f"notifications.{severity}",
        "description": f"Notifications of severity {severity}: routing key and queue of this name.",
        "messages": {
            event.event_type: {"$ref": f"#/components/messages/{event.event_type}"}
            for event in EVENTS.values()
            if event.severity is severity
        },
        "bindings": {"amqp": {"is": "routingKey", "exchange": _EXCHANGE}},
    }


def _operation(severity: Severity) -> Tree:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{severity}"},
        "summary": "At least once, in order within a run; drop what comes again by message_id.",
        "bindings": {"amqp": {"deliveryMode": 2}},
    }


def _message(event: Event) -> Tree:
    return {
        "name": event.event_type,
        "title": event.event_type,
        "summary": event.sentence,
        "contentType": "application/json",
        "payload": {
            "type": "object",
            "required": ["oslo.version", "oslo.message"],
            "properties": {
                "oslo.version": {"const": "2.0"},
                "oslo.message": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": {"$ref": f"#/components/schemas/{event.event_type}"},
                },
            },
        },
    }


def _schemas() -> Tree:
    """The message inside the envelope, and its payload, by event type."""
    schemas: dict[str, Tree] = {}
    for event in EVENTS.values():
        reference = f"#/components/schemas/{event.event_type}.payload"
        schemas[event.event_type] = jsonschema.message(event, payload=reference)
        schemas[f"{event.event_type}.payload"] = jsonschema.payload(event)
    return schemas
