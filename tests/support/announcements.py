"""Reads what a control plane announced, and holds it against what it did: nothing lost, doubled or open."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.standalone import Standalone
from tests.support.waiting import wait_for

Event = dict[str, Any]
COLLECT_S = 30.0


@dataclass(frozen=True, slots=True)
class ToldRun:
    """One run as its two events tell it."""

    operation: str
    start: Event
    ending: Event

    @property
    def succeeded(self) -> bool:
        """Whether it ended with `.end`."""
        return bool(self.ending["event_type"].endswith(".end"))

    @property
    def error(self) -> Mapping[str, Any]:
        """The payload of its `.error`."""
        assert not self.succeeded, f"{self.operation} succeeded"
        payload: Mapping[str, Any] = self.ending["payload"]
        return payload


@dataclass(frozen=True, slots=True)
class Announcements:
    """Everything that was announced by a control plane with no run open and an empty outbox."""

    events: list[Event]
    runs: list[ToldRun]

    def of(self, operation: str) -> list[ToldRun]:
        """Return the runs of an operation, in the order of their beginning."""
        return [run for run in self.runs if run.operation == operation]

    def only(self, operation: str) -> ToldRun:
        """Return the only run of an operation."""
        (run,) = self.of(operation)
        return run

    def facts(self, event_type: str) -> list[Event]:
        """Return the events of one type."""
        return [event for event in self.events if event["event_type"] == event_type]


def settled(coffer: Standalone) -> Announcements:
    """Wait until everything was said, and return it, proven.

    Proven is: each event stored once, as many as were ever written, each run of the database told as one start
    and then one ending, which is the one that the database has, and the bill begun and ended where it should.
    """
    coffer.settle()
    # With a broker in between, what was confirmed has still to be collected.
    wait_for(lambda: _stored(coffer) >= _written(coffer), COLLECT_S, "the collector to have every event")
    events = coffer.events()
    _prove_whole(coffer, events)
    told: dict[str, list[Event]] = {}
    for event in events:
        if event["event_type"].startswith("dbaas."):
            told.setdefault(event["payload"]["run_id"], []).append(event)
    endings = dict(coffer.rows("select run_id, ending from runs"))
    assert told.keys() == endings.keys(), "the runs that were told are not those that were made"
    runs = [_prove_run(run_id, each, endings[run_id]) for run_id, each in told.items()]
    found = Announcements(events=events, runs=runs)
    _prove_bills(found)
    return found


def _prove_whole(coffer: Standalone, events: list[Event]) -> None:
    ids = Counter(event["message_id"] for event in events)
    assert [each for each, times in ids.items() if times > 1] == [], "an event was stored twice"
    written = _written(coffer)
    assert len(events) == written, f"{written} events were written and {len(events)} arrived"
    ((dead,),) = coffer.rows("select count(*) from dead_letters", database="collector.db")
    assert dead == 0, "the collector could not read an event"


def _written(coffer: Standalone) -> int:
    # Rows of the outbox are numbered without a gap, and a number is used once, so the last one counts them all.
    ((written,),) = coffer.rows("select coalesce(max(seq), 0) from sqlite_sequence where name = 'outbox'")
    return int(written)


def _stored(coffer: Standalone) -> int:
    query = "select (select count(*) from events) + (select count(*) from dead_letters)"
    ((stored,),) = coffer.rows(query, database="collector.db")
    return int(stored)


def _prove_run(run_id: str, events: list[Event], ending: str) -> ToldRun:
    phases = [event["event_type"].rpartition(".")[2] for event in events]
    assert phases == ["start", ending], f"run {run_id} was told as {phases} and ended as {ending}"
    start, last = events
    for trait in ("tenant_id", "request_id", "client_ip"):
        assert start["payload"][trait] == last["payload"][trait], f"the two events of a run differ in {trait}"
    assert start["timestamp"] <= last["timestamp"]
    assert (start["severity"].lower(), last["severity"].lower()) == (
        "info",
        "error" if ending == "error" else "info",
    )
    if ending == "error":
        _prove_readable(last["payload"])
    return ToldRun(operation=start["event_type"].split(".")[1], start=start, ending=last)


def _prove_readable(payload: Mapping[str, Any]) -> None:
    """Hold a reason against what a tenant can read: a sentence, not a path, not a Python word."""
    message = payload["message"]
    assert message.endswith("."), message
    assert message[0].isupper(), message
    for word in ("/tmp", "Traceback", "Error(", "object at", "None", "0x"):
        assert word not in message, message
    assert payload["fault"] in {"user", "system"}
    assert payload["error_code"]
    assert payload["exception"]


def _prove_bills(found: Announcements) -> None:
    """A bill begins when an instance was created, and ends when such an instance was deleted."""
    created = {run.ending["payload"]["instance_id"] for run in found.of("instance_create") if run.succeeded}
    deleted = {run.ending["payload"]["instance_id"] for run in found.of("instance_delete") if run.succeeded}
    begun = [event["payload"]["instance_id"] for event in found.facts("trove.instance.create")]
    ended = [event["payload"]["instance_id"] for event in found.facts("trove.instance.delete")]
    assert sorted(begun) == sorted(created), "the bills that began are not the instances that were created"
    assert sorted(ended) == sorted(deleted & created), "the bills that ended are not the instances deleted"
