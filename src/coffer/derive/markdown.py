"""`docs/notifications.md`: what coffer announces, for people."""

from collections.abc import Iterable, Sequence

from coffer.catalogue.event import Event, Phase
from coffer.catalogue.events import EVENTS, operation_event
from coffer.catalogue.facts import FACTS
from coffer.catalogue.operations import OPERATIONS, Operation, ServerType
from coffer.catalogue.shared_traits import BASE, DURATION_S, FAILED, JUDGED, RUN_ID
from coffer.catalogue.states import Move
from coffer.catalogue.traits import Trait

_INTRODUCTION = """\
<!-- Derived from the catalogue: do not edit, run `make docs`. -->

# Notifications

What coffer announces: {events} events, {pairs} documented pairs of event and trait. Machines read the same
from `coffer catalogue --format json` (or `ceilometer`, `meters`, `gnocchi`, `jsonschema`, `asyncapi`).

Every API call that changes something begins a **run** of an **operation**: it sends `dbaas.<operation>.start`
and then exactly one of `.end` and `.error`. A call with several items (three databases) is one run each, with
one `request_id` and different `run_id`s. Every change of a billable resource sends a **status notification**
(`trove.instance.*`).

| | |
|---|---|
| exchange | `trove`, a topic exchange |
| routing key, queue | `notifications.info`; `notifications.error` for `.error` |
| body | oslo.messaging's envelope 2.0: `oslo.message` holds the message as JSON text |
| message | `message_id`, `event_type`, `priority`, `publisher_id`, `timestamp`, `payload`, `_context_…` |
| delivery | at least once, in order within a run; what comes again has the same `message_id`: drop it |

In the tables, **●** is in every event, **○** is there when it is known, **+** is coffer's own, beyond the
specification. A trait stands in the payload under its name, or under the field that is given in brackets.
Datetimes are ISO 8601 in UTC (`2026-01-31T12:00:00.000000Z`).
"""

_ENDED_BY = {
    ServerType.API: "the API",
    ServerType.TASK: "the taskmanager",
    ServerType.CONDUCTOR: "the conductor",
}


def text() -> str:
    """Return the document."""
    pairs = sum(len(event.traits) for event in EVENTS.values())
    parts = [
        _INTRODUCTION.format(events=len(EVENTS), pairs=pairs),
        "## Operations\n",
        _operations(),
        "## In every event of a run\n",
        _shared_traits(),
        *(_operation(operation) for operation in OPERATIONS.values()),
        "## Status notifications\n",
        *(_fact(EVENTS[fact.event_type]) for fact in FACTS),
    ]
    return "\n".join(parts)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _operations() -> str:
    return _table(
        ("operation", "what it does", "REST call", "ended by", "deadline", "served"),
        (
            (
                f"[{operation.name}](#dbaas{operation.name})",
                operation.sentence,
                _call(operation),
                _ENDED_BY[operation.ended_by],
                f"{operation.deadline_s} s",
                "yes" if operation.built else "not yet",
            )
            for operation in OPERATIONS.values()
        ),
    )


def _shared_traits() -> str:
    ours = [RUN_ID, DURATION_S, *JUDGED]
    rows = [(trait, "start, end, error", "") for trait in BASE]
    rows += [(RUN_ID, "start, end, error", "+"), (DURATION_S, "end, error", "+")]
    rows += [(trait, "error", "") for trait in FAILED]
    rows += [(trait, "error", "+") for trait in JUDGED]
    assert {trait.name for trait in ours} == {trait.name for trait, _, mark in rows if mark}
    return _table(
        ("trait", "type", "in", "", "meaning"),
        ((_name(trait), _type(trait), phases, mark, trait.description) for trait, phases, mark in rows),
    )


def _operation(operation: Operation) -> str:
    facts = [
        f"- REST: {_call(operation)}",
        f"- Python: `{operation.python_api}`",
        f"- ended by {_ENDED_BY[operation.ended_by]}, within {operation.deadline_s} s",
    ]
    if operation.move is not None:
        facts.append(f"- instance: {_move(operation.move)}")
    if operation.item_trait is not None:
        facts.append(f"- one run for each `{operation.item_trait}` of the call")
    if not operation.built:
        facts.append("- not built yet: the API answers 501 and announces nothing")
    body = "\n".join(facts)
    return f"### dbaas.{operation.name}\n\n{operation.sentence}\n\n{body}\n\n{_phases(operation)}"


def _call(operation: Operation) -> str:
    return f"`{operation.rest}` `{operation.body}`" if operation.body else f"`{operation.rest}`"


def _move(move: Move) -> str:
    allowed = ", ".join(sorted(move.allowed)) or "none yet"
    if move.during is None:
        return f"must be {allowed}"
    end = move.end or "as before"
    error = move.error or "as before"
    return f"{allowed} → {move.during} → {end} (after an error: {error})"


def _phases(operation: Operation) -> str:
    """One row a trait that is the operation's own; one column a phase."""
    shared = {trait.name for trait in (*BASE, *FAILED, RUN_ID, DURATION_S, *JUDGED)}
    events = [operation_event(operation, phase) for phase in Phase]
    own: dict[str, Trait] = {}
    for event in events:
        for trait in event.all_traits:
            if trait.name not in shared:
                own.setdefault(trait.name, trait)
    return _table(
        ("trait", "type", *(phase.value for phase in Phase), "meaning"),
        (
            (_name(trait), _type(trait), *(_mark(event, trait.name) for event in events), trait.description)
            for trait in own.values()
        ),
    )


def _fact(event: Event) -> str:
    rows = _table(
        ("trait", "type", "", "meaning"),
        (
            (_name(trait), _type(trait), _mark(event, trait.name), trait.description)
            for trait in event.all_traits
        ),
    )
    return f"### {event.event_type}\n\n{event.sentence}\n\n{rows}"


def _mark(event: Event, name: str) -> str:
    documented = {trait.name: trait for trait in event.traits}
    ours = {trait.name: trait for trait in event.extension_traits}
    trait = documented.get(name) or ours.get(name)
    if trait is None:
        return ""
    return ("●" if trait.required else "○") + (" +" if name in ours else "")


def _name(trait: Trait) -> str:
    return f"`{trait.name}`" if trait.field == trait.name else f"`{trait.name}` (`{trait.field}`)"


def _type(trait: Trait) -> str:
    return f"{trait.type}, {trait.unit}" if trait.unit else str(trait.type)
