"""Runs inside Ceilometer's own virtual environment: what its converter makes of messages, one file after the other.

stdin: JSON {"files": {name: definitions}, "notifications": [as Ceilometer's endpoints get them]}
stdout: JSON {name: {"text": definitions, "events": null (it does not load) or
{event type: null (lost) or {trait: [type, value]}}}}, with the file that Ceilometer ships as `shipped`

Imports nothing of ours: it is another Python with other packages.
"""

# mypy: ignore-errors

import json
import os
import sys
import tempfile
from pathlib import Path

import ceilometer
from ceilometer import service
from ceilometer.event import converter, models
from stevedore import extension

SHIPPED = Path(ceilometer.__file__).parent / "pipeline" / "data" / "event_definitions.yaml"


def main():
    asked = json.load(sys.stdin)
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # oslo.log writes to stdout
    conf = service.prepare_service(argv=["ceilometer"], config_files=[])
    plugins = extension.ExtensionManager(namespace="ceilometer.event.trait_plugin")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "event_definitions.yaml"
        conf.set_override("definitions_cfg_file", str(path), group="event")
        told = {}
        for name, text in {**asked["files"], "shipped": SHIPPED.read_text()}.items():
            path.write_text(text)
            told[name] = {"text": text, "events": judged(conf, plugins, asked["notifications"])}
    json.dump(told, answer)
    answer.close()


def judged(conf, plugins, notifications):
    try:
        found = converter.setup_events(conf, plugins)
    except Exception:  # noqa: BLE001 - whatever it is, the agent would not start
        return None
    return {each["event_type"]: converted(found, each) for each in notifications}


def converted(found, notification):
    try:
        event = found.to_event("info", notification)
    except Exception:  # noqa: BLE001 - the endpoint logs it and drops the event
        return None
    return {trait.name: [trait.get_type_name(), models.serialize_dt(trait.value)] for trait in event.traits}


main()
