"""Reads a file of event definitions as Ceilometer does: what it refuses is refused, what it takes is taken alike.

Only the common form of a field path is followed (`payload.a.b`, `payload['a']`, `(payload.a)|(payload.b)`); of any
other JSONPath, and of what a plugin makes of it, this says that it does not know.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import yaml

from coffer.catalogue.traits import TraitType

PLUGINS = frozenset({"split", "bitfield", "timedelta", "map"})
"""The plugins that Ceilometer brings."""

_NAME = r"(?:[A-Za-z_][\w-]*|'[^']+'|\"[^\"]+\")"
_PATH = re.compile(rf"\s*(?:\$\s*\.\s*)?({_NAME}(?:\s*\.\s*{_NAME}|\[{_NAME}\])*)\s*")
_IN_BRACKETS = re.compile(r"\s*\(([^()]*)\)\s*")
_STEP = re.compile(_NAME)


class DefinitionsError(Exception):
    """Ceilometer would not load the file; a sentence that says why."""


Path = tuple[str, ...]
"""The steps to a value in a message, such as `("payload", "dbname")`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How one trait is read. `paths` are tried in their order; None: in a way that is not known here."""

    type: TraitType
    paths: tuple[Path, ...] | None
    source: str


@dataclass(frozen=True, slots=True)
class Definition:
    """One item of the file: the event types that it takes, and its rules, Ceilometer's own included."""

    position: int
    included: tuple[str, ...]
    excluded: tuple[str, ...]
    rules: Mapping[str, Rule]

    @property
    def title(self) -> str:
        """Its patterns as one text."""
        return ", ".join((*self.included, *(f"!{each}" for each in self.excluded)))

    def takes(self, event_type: str) -> bool:
        """Whether it is for this event; the star stands for dots, too."""
        return any(fnmatchcase(event_type, each) for each in self.included) and not any(
            fnmatchcase(event_type, each) for each in self.excluded
        )


def _rule(source: str, *paths: str) -> Rule:
    return Rule(TraitType.TEXT, tuple(tuple(path.split(".")) for path in paths), source)


BY_ITSELF: Mapping[str, Rule] = {
    "service": _rule("publisher_id", "publisher_id"),
    "request_id": _rule("ctxt.request_id", "ctxt.request_id"),
    "project_id": _rule("payload.tenant_id", "payload.tenant_id", "ctxt.project_id"),
    "user_id": _rule("payload.user_id", "payload.user_id", "ctxt.user_id"),
    "tenant_id": _rule("payload.tenant_id", "payload.tenant_id", "ctxt.project_id"),
}
"""The rules that every definition has, unless it has others of the same names."""

CATCH_ALL = Definition(0, ("*",), (), BY_ITSELF)
"""What Ceilometer adds for events that no definition takes (`drop_unmatched_notifications` is off by default)."""


def definitions(content: str) -> tuple[Definition, ...]:
    """Return the definitions of a file in its order, of which Ceilometer takes the last that fits.

    Raises:
        DefinitionsError: if Ceilometer would not load the file.
    """
    try:
        items = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none
        raise DefinitionsError(_yaml_problem(error)) from error
    if not isinstance(items, list):
        raise DefinitionsError("The file is not a list: each definition begins with `- event_type:`.")
    return tuple(_definition(position, item) for position, item in enumerate(items, start=1))


def matching(found: Sequence[Definition], event_type: str) -> Definition:
    """Return the definition that Ceilometer takes for an event: the last that fits."""
    return next((each for each in reversed(found) if each.takes(event_type)), CATCH_ALL)


def _yaml_problem(error: Exception) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f"The file is no YAML: {error}."
    mark = error.problem_mark
    return f"Line {mark.line + 1}, column {mark.column + 1}: {error.problem}."


def _definition(position: int, item: object) -> Definition:
    where = f"Definition {position}"
    if not isinstance(item, dict):
        raise DefinitionsError(f"{where} is not a mapping with `event_type` and `traits`.")
    for key in ("event_type", "traits"):
        if key not in item:
            raise DefinitionsError(f"{where} has no `{key}`.")
    types = [item["event_type"]] if isinstance(item["event_type"], str) else item["event_type"]
    if not isinstance(types, list) or not all(isinstance(each, str) for each in types):
        raise DefinitionsError(f"{where}: its `event_type` is neither a text nor a list of texts.")
    traits = item["traits"]
    if not isinstance(traits, dict):
        raise DefinitionsError(
            f"{where} ({types[0] if types else ''}): its `traits` are not a mapping; without any, write {{}}."
        )
    included = tuple(each for each in types if not each.startswith("!"))
    excluded = tuple(each[1:] for each in types if each.startswith("!"))
    if excluded and not included:
        included = ("*",)
    rules = {
        str(name): _read_rule(f"{where} ({types[0] if types else ''}): {name}", rule)
        for name, rule in traits.items()
    }
    return Definition(position, included, excluded, {**BY_ITSELF, **rules})


def _read_rule(where: str, rule: object) -> Rule:
    fields: object = rule
    type_, has_plugin = TraitType.TEXT, False
    if isinstance(rule, dict):
        if "fields" not in rule:
            raise DefinitionsError(f"{where} has no `fields`.")
        fields = rule["fields"]
        type_ = _type(where, rule.get("type", "text"))
        has_plugin = _has_plugin(where, rule)
    sources = fields if isinstance(fields, list) else [fields]
    if not sources or not all(
        (isinstance(each, str) and each.strip()) or isinstance(each, int) for each in sources
    ):
        raise DefinitionsError(f"{where}: its `fields` name nothing.")
    source = " or ".join(str(each) for each in sources)
    return Rule(type_, None if has_plugin else _paths(sources), source)


def _type(where: str, name: Any) -> TraitType:
    try:
        # Ceilometer looks for its constants in capitals, so that it takes the names in any.
        return TraitType(name.lower())
    except (AttributeError, ValueError):
        known = ", ".join(TraitType)
        raise DefinitionsError(f"{where} has the type {name!r}; the types are {known}.") from None


def _has_plugin(where: str, rule: Mapping[str, Any]) -> bool:
    if "plugin" not in rule:
        return False
    plugin = rule["plugin"]
    name = plugin if isinstance(plugin, str) else plugin.get("name") if isinstance(plugin, dict) else None
    if name not in PLUGINS:
        raise DefinitionsError(
            f"{where} asks for the plugin {name!r}; Ceilometer has {', '.join(sorted(PLUGINS))}."
        )
    return True


def _paths(sources: Sequence[Any]) -> tuple[Path, ...] | None:
    """Return the paths in the order in which they are tried; None if one of them is not of the common form."""
    found: list[Path] = []
    for source in sources:
        parts = str(source).split("|")
        for part in parts:
            in_brackets = _IN_BRACKETS.fullmatch(part)
            match = _PATH.fullmatch(in_brackets[1] if in_brackets else part)
            if match is None or (len(parts) > 1 and "$" in part and not in_brackets):
                return None
            path = tuple(step.strip("'\"") for step in _STEP.findall(match[1]))
            # In a JSONPath the `|` binds tighter than the dot: `a.b|c.d` is `a.(b|c).d`, which leads nowhere.
            if in_brackets or len(parts) == 1 or len(path) == 1:
                found.append(path)
    return tuple(found)
