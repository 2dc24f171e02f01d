"""Tells what Ceilometer will make of messages with the definitions that an operator has."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from coffer.catalogue.traits import Trait, TraitType
from coffer.derive.ceilometer_reader import Definition, Path, Rule, matching
from coffer.derive.messages import CONTEXT, Message

_SAME_IN_CONTEXT = {
    "tenant_id": {("ctxt", "project_id"), ("ctxt", "tenant")},
    "request_id": {("ctxt", "request_id")},
    "user_id": {("ctxt", "user_id"), ("ctxt", "user")},
}
"""Where the value of a trait stands in the context, too."""

_FITS = {
    TraitType.TEXT: frozenset({TraitType.TEXT}),
    TraitType.INT: frozenset({TraitType.TEXT, TraitType.INT, TraitType.FLOAT}),
    TraitType.FLOAT: frozenset({TraitType.TEXT, TraitType.INT, TraitType.FLOAT}),
    TraitType.DATETIME: frozenset({TraitType.TEXT, TraitType.DATETIME}),
}
"""By the type of a value: the types that it can be read as. Any other, and Ceilometer drops the whole event."""


class Problem(StrEnum):
    """What becomes of a trait that does not arrive as it should."""

    MISSING = "missing"
    """It is not there, or holds something else."""
    MISTYPED = "mistyped"
    """It is there with another type: a query by value or a sum does not find it."""
    LOSES_EVENT = "loses event"
    """Its value does not fit the type: Ceilometer logs `Fail to process a notification` and drops the event."""
    UNCLEAR = "unclear"
    """It is read by a plugin or a JSONPath that this check does not follow."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """One trait that does not arrive as it should."""

    trait: str
    problem: Problem
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one kind of message."""

    event_type: str
    definition: str | None
    """The patterns of the definition that takes it; None: no definition does."""
    documented: int
    understood: int
    """How many of its documented traits arrive, each with its type."""
    flaws: tuple[Flaw, ...]
    added_missing: tuple[str, ...]
    """What its sender says beyond the documented traits, and is not read: no flaw."""
    hint: str | None
    """What the operator should do about it, where the order of the file is to blame."""

    @property
    def is_lost(self) -> bool:
        """Whether Ceilometer would drop the event."""
        return any(flaw.problem is Problem.LOSES_EVENT for flaw in self.flaws)


def judge(definitions: Sequence[Definition], message: Message) -> Verdict:
    """Return what becomes of `message`."""
    taken = matching(definitions, message.event_type)
    flaws = (*_lost(taken, message), *_flaws(taken, message, message.documented), *_doubts(taken, message))
    return Verdict(
        event_type=message.event_type,
        definition=taken.title if taken.position else None,
        documented=len(message.documented),
        understood=_understood(taken, message),
        flaws=flaws,
        added_missing=tuple(flaw.trait for flaw in _flaws(taken, message, message.added)),
        hint=_hint(definitions, taken, message) if flaws else None,
    )


def _understood(definition: Definition, message: Message) -> int:
    if _lost(definition, message):
        return 0
    return len(message.documented) - len(_flaws(definition, message, message.documented))


def _lost(definition: Definition, message: Message) -> tuple[Flaw, ...]:
    """Return the rules, asked for or not, that this message breaks on."""
    found = []
    for name, rule in definition.rules.items():
        path = _read(rule, message)
        value = None if path is None else _type_of(path, message)
        if value is not None and rule.type not in _FITS[value]:
            detail = f"{value} read as {rule.type} from {rule.source}"
            found.append(Flaw(name, Problem.LOSES_EVENT, detail))
    return tuple(found)


def _doubts(definition: Definition, message: Message) -> tuple[Flaw, ...]:
    """Return the rules that nobody asked for, and that may break on the message nevertheless."""
    documented = {trait.name for trait in message.documented}
    return tuple(
        Flaw(
            name,
            Problem.UNCLEAR,
            f"{rule.type} read from {rule.source}: a value that does not fit loses the event",
        )
        for name, rule in definition.rules.items()
        if rule.paths is None and rule.type is not TraitType.TEXT and name not in documented
    )


def _flaws(definition: Definition, message: Message, wanted: Sequence[Trait]) -> tuple[Flaw, ...]:
    found = (_flaw(definition.rules.get(trait.name), message, trait) for trait in wanted)
    return tuple(flaw for flaw in found if flaw)


def _flaw(rule: Rule | None, message: Message, trait: Trait) -> Flaw | None:
    if rule is None:
        return Flaw(trait.name, Problem.MISSING, "no rule for it")
    if rule.paths is None:
        return Flaw(trait.name, Problem.UNCLEAR, f"read from {rule.source}")
    path = _read(rule, message)
    if path is None:
        why = "for a `|` write a list" if "|" in rule.source else "which is not in the message"
        return Flaw(trait.name, Problem.MISSING, f"read from {rule.source}, {why}")
    if path != ("payload", trait.field) and path not in _SAME_IN_CONTEXT.get(trait.name, ()):
        return Flaw(trait.name, Problem.MISSING, f"holds {'.'.join(path)}")
    if rule.type is not trait.type and rule.type in _FITS[trait.type]:
        return Flaw(trait.name, Problem.MISTYPED, f"{rule.type} in place of {trait.type}")
    return None


def _read(rule: Rule, message: Message) -> Path | None:
    """Return the first path of the rule that leads to a value in the message."""
    return next((path for path in rule.paths or () if _type_of(path, message)), None)


def _type_of(path: Path, message: Message) -> TraitType | None:
    match path:
        case ("payload", field):
            return message.fields.get(field)
        case ("ctxt", field):
            return CONTEXT.get(field)
        case ("publisher_id" | "event_type",) | ("metadata", "message_id"):
            return TraitType.TEXT
        case ("metadata", "timestamp"):
            return TraitType.DATETIME
    return None


def _hint(definitions: Sequence[Definition], taken: Definition, message: Message) -> str | None:
    """Return a hint if a definition further up the file would do better: the last that fits is taken."""
    others = (each for each in definitions if each.takes(message.event_type) and each is not taken)
    best = max(others, key=lambda each: _understood(each, message), default=None)
    if best is None or _understood(best, message) <= _understood(taken, message):
        return None
    return (
        f"Put definition {taken.position} ({taken.title}) before {best.position} ({best.title}): "
        "the last one that fits is taken."
    )
