"""The schemas say of each event what the catalogue says, and where it is sent."""

import json

import pytest
import yaml

from coffer.catalogue.event import Event
from coffer.catalogue.events import EVENTS
from coffer.catalogue.facts import OTHER_QUOTA_NAMES, QUOTA
from coffer.derive.formats import FORMATS

SCHEMA = json.loads(FORMATS["jsonschema"]())
ASYNCAPI = yaml.safe_load(FORMATS["asyncapi"]())

every_event = pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: event.event_type)


@every_event
def test_the_schema_of_a_payload_has_its_fields(event: Event) -> None:
    payload = SCHEMA["$defs"][event.event_type]

    assert set(payload["properties"]) == {trait.field for trait in event.all_traits}
    assert set(payload["required"]) == {trait.field for trait in event.all_traits if trait.required}
    assert "additionalProperties" not in payload  # readers ignore what they do not know


def test_a_message_is_recognised_by_its_type_and_has_one_priority() -> None:
    for event, message in zip(EVENTS.values(), SCHEMA["oneOf"], strict=True):
        assert message["properties"]["event_type"]["enum"][0] == event.event_type
        assert message["properties"]["priority"] == {"const": event.severity.upper()}


def test_the_quota_may_go_by_its_other_names() -> None:
    (message,) = [m for m in SCHEMA["oneOf"] if QUOTA in m["properties"]["event_type"]["enum"]]

    assert message["properties"]["event_type"]["enum"] == [QUOTA, *OTHER_QUOTA_NAMES]


@every_event
def test_a_message_is_sent_on_the_channel_of_its_severity_only(event: Event) -> None:
    channels = [name for name, each in ASYNCAPI["channels"].items() if event.event_type in each["messages"]]

    assert channels == [event.severity]


def test_the_channels_are_the_queues_that_ceilometer_listens_on() -> None:
    addresses = {channel["address"] for channel in ASYNCAPI["channels"].values()}

    assert ASYNCAPI["asyncapi"] == "3.0.0"
    assert addresses == {"notifications.info", "notifications.error"}
    for channel in ASYNCAPI["channels"].values():
        assert channel["bindings"]["amqp"]["exchange"] == {"name": "trove", "type": "topic"}


def test_both_formats_say_the_same_of_a_payload() -> None:
    for name, schema in SCHEMA["$defs"].items():
        assert ASYNCAPI["components"]["schemas"][f"{name}.payload"] == schema
