"""Ceilometer's event definitions: which field of which event becomes which typed trait.

Ceilometer takes the LAST definition that matches, so the wildcards stand first. The anchors have names of our
own: the text can be appended to the file that Ceilometer ships, which has a `trove_base_traits` itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from coffer.catalogue.event import Event
from coffer.catalogue.events import EVENTS
from coffer.catalogue.facts import OTHER_QUOTA_NAMES, QUOTA
from coffer.catalogue.traits import Trait, TraitType
from coffer.derive.yaml_text import comment

_HEADER = """
Ceilometer event definitions for coffer. Derived from its catalogue: do not edit, write them anew with
  coffer catalogue --format ceilometer

Append this list to event_definitions.yaml ([event] definitions_cfg_file), after what stands there already:
the last definition that matches an event wins.
"""

_CHANGES = "trove.instance.[!e]*"
"""All status notifications of an instance but `exists`, which lacks some of their traits."""

# What Ceilometer would look up in the request context; naming the payload alone would take that from it.
_CONTEXT_FIELDS = {
    "tenant_id": "ctxt.project_id",
    "request_id": "ctxt.request_id",
    "user_id": "ctxt.user_id",
}


@dataclass(frozen=True, slots=True)
class _Group:
    """A definition for many events at once, with the traits that all of them have."""

    anchor: str
    patterns: tuple[str, ...]
    traits: tuple[Trait, ...]
    within: "_Group | None" = None
    """The wider definition that this one adds `traits` to."""

    @property
    def names(self) -> frozenset[str]:
        """The names of all its traits, the wider definition's included."""
        own = frozenset(trait.name for trait in self.traits)
        return own | self.within.names if self.within else own

    def matches(self, event: Event) -> bool:
        return any(fnmatchcase(event.event_type, pattern) for pattern in self.patterns)


def text() -> str:
    """Return the definitions, one YAML list."""
    groups = _groups()
    blocks = [
        _definition(group.patterns, group.traits, anchor=group.anchor, merged=_alias(group.within))
        for group in groups
    ]
    blocks += [_event_definition(event, groups) for event in EVENTS.values() if event.event_type != QUOTA]
    return comment(_HEADER) + "\n" + "\n".join(blocks)


def _groups() -> tuple[_Group, ...]:
    """Return the shared definitions, wider ones first. The quota's is whole, and the last for its names."""
    status = _shared("coffer_status", ("trove.*",), "trove.instance.*")
    changes = tuple(name for name in EVENTS if fnmatchcase(name, _CHANGES))
    change = _shared("coffer_change", changes, _CHANGES, within=status)
    run = _shared("coffer_run", ("dbaas.*",), "dbaas.*")
    end = _shared("coffer_end", ("dbaas.*.end",), "dbaas.*.end", within=run)
    error = _shared("coffer_error", ("dbaas.*.error",), "dbaas.*.error", within=run)
    quota = _Group("coffer_quota", (QUOTA, *OTHER_QUOTA_NAMES), EVENTS[QUOTA].all_traits)
    return status, change, run, end, error, quota


def _shared(anchor: str, patterns: tuple[str, ...], glob: str, *, within: _Group | None = None) -> _Group:
    """Return a definition of the traits that all events have whose type matches `glob`."""
    members = [event for name, event in EVENTS.items() if fnmatchcase(name, glob)]
    known = within.names if within else frozenset()
    traits = tuple(trait for trait in _common(members) if trait.name not in known)
    return _Group(anchor, patterns, traits, within=within)


def _common(events: Sequence[Event]) -> tuple[Trait, ...]:
    """Return the traits that all events have, in the first one's order."""
    names = frozenset.intersection(*(frozenset(trait.name for trait in event.all_traits) for event in events))
    return tuple(trait for trait in events[0].all_traits if trait.name in names)


def _event_definition(event: Event, groups: Sequence[_Group]) -> str:
    """Return what the narrowest definition that fits leaves to say about `event`."""
    narrowest = max((group for group in groups if group.matches(event)), key=lambda group: len(group.names))
    own = tuple(trait for trait in event.all_traits if trait.name not in narrowest.names)
    return _definition((event.event_type,), own, merged=_alias(narrowest))


def _alias(group: _Group | None) -> str:
    return f"*{group.anchor}" if group else ""


def _definition(
    patterns: Sequence[str], traits: Sequence[Trait], *, anchor: str = "", merged: str = ""
) -> str:
    event_type = f"'{patterns[0]}'" if len(patterns) == 1 else f"[{', '.join(patterns)}]"
    lines = [f"- event_type: {event_type}", f"  traits:{f' &{anchor}' if anchor else ''}"]
    if merged:
        lines.append(f"    <<: {merged}")
    for trait in traits:
        lines += _trait(trait)
    return "\n".join(lines) + "\n"


def _trait(trait: Trait) -> list[str]:
    lines = [f"    {trait.name}:"]
    if trait.type is not TraitType.TEXT:
        lines.append(f"      type: {trait.type}")
    payload = f"payload.{trait.field}"
    context = _CONTEXT_FIELDS.get(trait.name)
    lines.append(f"      fields: [{payload}, {context}]" if context else f"      fields: {payload}")
    return lines
