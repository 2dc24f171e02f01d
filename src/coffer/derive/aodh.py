"""Event alarms for aodh: examples of what an operator or a tenant wants to be woken up for, with the traits' types."""

from coffer.catalogue.events import EVENTS
from coffer.catalogue.facts import QUOTA
from coffer.catalogue.operations import OPERATIONS
from coffer.catalogue.traits import TraitType
from coffer.derive.yaml_text import comment

_HEADER = """
Event alarms for coffer. Derived from its catalogue: do not edit, write them anew with
  coffer catalogue --format aodh

They fire where event_pipeline.yaml of Ceilometer has the publisher notifier://?topic=alarm.all besides the others.
An alarm sees the events of its own project only, by the trait tenant_id. Set ACTION (https://…) and the values.
"""

_TYPES = {TraitType.TEXT: "string", TraitType.INT: "integer", TraitType.FLOAT: "float"}

_ALARMS: tuple[tuple[str, str, tuple[tuple[str, str, str], ...]], ...] = (
    ("Anything failed.", "dbaas.*.error", ()),
    ("Something failed, and it was not the caller's fault.", "dbaas.*.error", (("fault", "=", "system"),)),
    ("A backup failed.", "dbaas.backup_create.error", ()),
    ("The source of a replication group was thrown out.", "dbaas.instance_eject.end", ()),
    ("A certain instance is gone.", "trove.instance.delete", (("resource_id", "=", "$INSTANCE"),)),
    (
        "The quota of instances is nearly used up.",
        QUOTA,
        (("resource", "=", "instances"), ("in_use", ">=", "9")),
    ),
    ("Something took longer than five minutes.", "dbaas.*.end", (("duration_s", ">", "300"),)),
)


def text() -> str:
    """Return the commands that make the alarms."""
    commands = [_command(sentence, pattern, query) for sentence, pattern, query in _ALARMS]
    return comment(_HEADER) + "".join(f"\n{command}" for command in commands)


def _command(sentence: str, pattern: str, query: tuple[tuple[str, str, str], ...]) -> str:
    name = "coffer-" + sentence.lower().replace("'", "").rstrip(".").replace(",", "").replace(" ", "-")
    asked = ";".join(
        f"traits.{trait}{operator}{_TYPES[type_of(pattern, trait)]}::{value}"
        for trait, operator, value in query
    )
    lines = [
        f"# {sentence}",
        f'openstack alarm create --type event --name "{name}" \\',
        f"  --event-type '{pattern}' \\",
        *([f'  --query "{asked}" \\'] if asked else []),
        '  --repeat-actions true --alarm-action "$ACTION"',
    ]
    return "\n".join(lines) + "\n"


def type_of(pattern: str, trait: str) -> TraitType:
    """Return the type of a trait of the event, or of every event that the pattern of a phase means.

    Raises:
        KeyError: if there is no such trait.
    """
    if "*" in pattern:
        pattern = pattern.replace("*", next(iter(OPERATIONS)))
    return {each.name: each.type for each in EVENTS[pattern].all_traits}[trait]
