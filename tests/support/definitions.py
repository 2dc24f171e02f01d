"""Files of event definitions for Ceilometer: as people write them, and what it refuses."""

from coffer.catalogue.event import Event
from coffer.catalogue.events import EVENTS
from coffer.catalogue.traits import TraitType

_BASE = """\
- event_type: dbaas.*
  traits: &dbaas_base
    tenant_id: {fields: payload.tenant_id}
    client_ip: {fields: payload.client_ip}
    server_ip: {fields: payload.server_ip}
    server_type: {fields: payload.server_type}
    request_id: {fields: payload.request_id}
"""

# The specification prints mappings without the dashes of a list, each nested deeper than the key before it.
AS_PRINTED = """\
 event_type: dbaas.\\*
  traits: &dbaas_base
    tenant_id:
      fields: payload.tenant_id
 event_type: dbaas.instance_restart.start
  traits:
    <<: \\*dbaas_base
    instance_id:
      fields: payload.instance_id
"""


def _corrected(event: Event) -> str:
    lines = [f"- event_type: {event.event_type}", "  traits:"]
    for trait in event.traits:
        type_ = "" if trait.type is TraitType.TEXT else f"type: {trait.type}, "
        lines.append(f"    {trait.name}: {{{type_}fields: payload.{trait.field}}}")
    return "\n".join(lines)


# In the order of the document the wildcard stands after the block of the quota, and is taken for it.
CORRECTED = "\n".join(
    [
        _corrected(EVENTS["trove.quota"]).replace("trove.quota", "dbaas.quota"),
        _BASE,
        *(_corrected(event) for event in EVENTS.values() if event.operation),
    ]
)

ODD = {
    "an escaped star": _BASE.replace("dbaas.*", r"dbaas.\*"),
    "an empty list": "[]",
    "no traits": "- event_type: '*'\n  traits: {}\n",
    "only an exclusion": "- event_type: '!trove.*'\n  traits: {message: payload.message}\n",
    "an exclusion": _BASE.replace("dbaas.*", "['dbaas.*', '!dbaas.*.error']"),
    "without the context": _BASE.replace("payload.request_id", "payload.nothing"),
    "the context first": _BASE.replace("payload.tenant_id", "[ctxt.project_id, payload.tenant_id]"),
    "the context last": _BASE.replace("payload.tenant_id", "[payload.nothing, ctxt.tenant]"),
    "somebody else's value": _BASE.replace("payload.client_ip", "payload.server_ip"),
    "a number of a text": _BASE.replace(
        "{fields: payload.server_type}", "{type: int, fields: payload.server_type}"
    ),
    "a time of a number": "- event_type: trove.quota\n  traits: {in_use: {type: datetime, fields: payload.in_use}}\n",
    "a text of a number": "- event_type: trove.quota\n  traits: {in_use: {fields: payload.in_use}}\n",
    "a float of a number": "- event_type: trove.quota\n  traits: {in_use: {type: float, fields: payload.in_use}}\n",
    "a number for a path": "- event_type: trove.quota\n  traits: {in_use: {type: int, fields: 7}}\n",
    "too deep": "- event_type: trove.quota\n  traits: {in_use: {type: int, fields: payload.in_use.now}}\n",
    "a path with blanks": "- event_type: trove.quota\n  traits: {in_use: {type: int, fields: ' payload . in_use '}}\n",
    "a bar": "- event_type: trove.quota\n  traits: {in_use: {type: int, fields: payload.used|payload.in_use}}\n",
    "a bar and brackets": "- event_type: trove.quota\n"
    "  traits: {in_use: {type: int, fields: (payload.used)|(payload.in_use)}}\n",
    "capitals": "- event_type: trove.quota\n  traits: {in_use: {type: INT, fields: payload.in_use}}\n",
    "merged twice": _BASE
    + "- event_type: dbaas.*.error\n  traits: &failed {message: payload.message, exception: payload.exception}\n"
    + "- event_type: dbaas.user_create.error\n  traits: {<<: [*dbaas_base, *failed]}\n",
}
"""Files that load; what they are good for is another thing."""

REFUSED = {
    "nothing": "",
    "a mapping": "event_type: dbaas.*\ntraits: {}\n",
    "a text": "- dbaas.*\n",
    "no event type": "- traits: {}\n",
    "traits forgotten": "- event_type: dbaas.*\n",
    "empty traits": "- event_type: dbaas.*\n  traits:\n",
    "an integer": "- event_type: dbaas.*\n  traits: {a: {type: integer, fields: payload.a}}\n",
    "a string": "- event_type: dbaas.*\n  traits: {a: {type: string, fields: payload.a}}\n",
    "no fields": "- event_type: dbaas.*\n  traits: {a: {type: int}}\n",
    "empty fields": "- event_type: dbaas.*\n  traits: {a: {fields: []}}\n",
    "a strange plugin": "- event_type: dbaas.*\n  traits: {a: {fields: payload.a, plugin: guess}}\n",
    "the same anchor twice": _BASE + _BASE,
    "an alias of nothing": "- event_type: dbaas.*\n  traits: {<<: *nothing}\n",
    "a date that is none": "- event_type: dbaas.*\n  traits: {a: 2026-02-31}\n",
    "two documents": "- event_type: dbaas.*\n  traits: {}\n---\n[]\n",
}
