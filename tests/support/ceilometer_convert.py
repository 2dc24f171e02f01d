"""Runs inside Ceilometer's own virtual environment: what its real code makes of our messages.

stdin: JSON {"definitions": text, "append_to_shipped": bool, "meters": text, "gnocchi": text, "bodies": texts}
stdout: JSON {"events": [...], "samples": [...], "gnocchi": {...}, "metrics": {...}}

The bodies are taken apart by oslo.messaging and go through Ceilometer's endpoints; only the broker and the
publisher are left out. Imports nothing of ours: it is another Python with other packages.
"""

# mypy: ignore-errors
# ruff: noqa: TID251

import json
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import ceilometer
import yaml
from ceilometer import service
from ceilometer.event import models
from ceilometer.meter.notifications import ProcessMeterNotifications
from ceilometer.pipeline.event import EventEndpoint
from ceilometer.publisher.gnocchi import ResourcesDefinition
from oslo_messaging._drivers import amqp, common
from oslo_messaging.notify.dispatcher import BatchNotificationDispatcher
from stevedore import extension

HOME = Path(ceilometer.__file__).parent
SHIPPED = HOME / "pipeline" / "data" / "event_definitions.yaml"
SHIPPED_METERS = HOME / "data" / "meters.d"


def main():
    asked = json.load(sys.stdin)
    # oslo.log writes to stdout; from here on that is the log, and the answer has a descriptor of its own.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as directory:
        conf = configure(Path(directory), asked)
        events, samples = Collected(), Collected()
        dispatcher = BatchNotificationDispatcher(
            [
                EventEndpoint(conf, events),
                ProcessMeterNotifications(conf, samples),
            ],
            None,
        )
        for body in asked["bodies"]:
            dispatcher.dispatch([incoming(body)])
    resources = gnocchi_resources(asked["gnocchi"])
    json.dump(
        {
            "events": [event_told(event) for event in events],
            "samples": [sample.as_dict() for batch in samples for sample in batch],
            "gnocchi": {event.event_type: gnocchi_told(event, resources) for event in events},
            "metrics": {metric: each.cfg["resource_type"] for each in resources for metric in each.metrics},
        },
        answer,
    )
    answer.close()


def configure(directory, asked):
    """Write the files that an operator would, and start Ceilometer's configuration on them."""
    definitions = directory / "event_definitions.yaml"
    shipped = SHIPPED.read_text() if asked["append_to_shipped"] else ""
    definitions.write_text(shipped + "\n" + asked["definitions"])
    meters = directory / "meters.d"
    meters.mkdir()
    (meters / "trove.yaml").write_text(asked["meters"])
    configuration = directory / "ceilometer.conf"
    configuration.write_text(
        f"[event]\ndefinitions_cfg_file = {definitions}\n"
        f"[meter]\nmeter_definitions_dirs = {meters}\nmeter_definitions_dirs = {SHIPPED_METERS}\n"
    )
    return service.prepare_service(argv=["ceilometer"], config_files=[str(configuration)])


class Collected(list):
    """What stands at the end of Ceilometer's pipeline here: a list instead of a publisher."""

    def __enter__(self):
        return self.append

    def __exit__(self, *failure):
        return False


def incoming(body):
    """Take a body apart as oslo.messaging's AMQP driver does."""
    message = common.deserialize_msg(json.loads(body))
    context = amqp.unpack_context(message)
    return SimpleNamespace(ctxt=context.to_dict(), message=message)


def event_told(event):
    return {
        "message_id": event.message_id,
        "event_type": event.event_type,
        "generated": event.generated.isoformat(),
        "traits": {
            trait.name: [trait.get_type_name(), models.serialize_dt(trait.value)] for trait in event.traits
        },
    }


def gnocchi_resources(text):
    plugins = extension.ExtensionManager(namespace="ceilometer.event.trait_plugin")
    return [ResourcesDefinition(each, "low", None, plugins) for each in yaml.safe_load(text)["resources"]]


def gnocchi_told(event, resources):
    """What Ceilometer would do to Gnocchi's resources for an event."""
    for resource in resources:
        action = resource.event_match(event.event_type)
        if action:
            return {"action": action, "attributes": resource.event_attributes(event)}
    return None


main()
