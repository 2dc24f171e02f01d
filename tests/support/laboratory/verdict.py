"""What an experiment came to: the runs and states in the database's tables against what the witnesses heard.

Pure: it is given everything as it was found.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.support.laboratory.load import Call
from tests.support.listener import Arrival, first_arrivals

Fact = tuple[str, str]
"""The type of a `trove.instance.*` event, and the instance."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run as the table has it."""

    run_id: str
    operation: str
    request_id: str
    began: datetime
    ended: datetime | None
    ending: str | None
    fault: str | None


@dataclass(frozen=True)
class Evidence:
    """What was found after an experiment, of the experiment only."""

    runs: Sequence[Run]
    facts: Counter[Fact]
    """Those that the tables call for."""
    heard: Mapping[str, Sequence[Arrival]]
    """By queue: what came through it, repetitions included, in order."""
    witnesses: Mapping[str, Collection[str]]
    """By witness: the queues that together should have everything."""
    collected: Collection[str]
    """The `message_id`s that coffer's own collector has stored."""
    calls: Sequence[Call]
    known: Collection[str] = ()
    """The `message_id`s of earlier experiments, which may well be repeated in this one."""
    skew_s: float = 0.0
    """By how much clocks were wrong."""


@dataclass(frozen=True)
class Verdict:
    """The figures of one experiment; `flaws` are the first few things that are not as they should be."""

    runs: int
    failed: int
    """Runs whose error was the system's and not the tenant's."""
    events: int
    repeated: int
    lost: int
    doubled: int
    out_of_order: int
    unended: int
    untrue: int
    """Events whose time is not that of the change, or lies outside of the call that made it."""
    flaws: Sequence[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether everything that is promised was kept."""
        return not any((self.lost, self.doubled, self.out_of_order, self.unended, self.untrue))


_SHOWN = 12


def judge(evidence: Evidence) -> Verdict:
    """Hold what was heard against what is in the tables."""
    runs = {run.run_id: run for run in evidence.runs}
    flaws: dict[str, list[str]] = defaultdict(list)
    events: dict[str, Arrival] = {}
    repeated = 0
    for arrivals in evidence.heard.values():
        repeated += len(arrivals) - len(first_arrivals(arrivals))
    for witness, queues in evidence.witnesses.items():
        arrivals = [each for queue in queues for each in evidence.heard.get(queue, ())]
        firsts = [each for each in first_arrivals(arrivals) if each.message_id not in evidence.known]
        events.update({each.message_id: each for each in firsts})
        flaws["order"] += [f"{witness}: {run_id}" for run_id in _out_of_order(evidence, queues)]
        _compare(f"{witness}: ", _expected(evidence), Counter(map(_of, firsts)), flaws)
    missing = events.keys() - set(evidence.collected)
    flaws["lost"] += [f"collector: {events[each].event_type} {each}" for each in sorted(missing)]
    flaws["lost"] += _unannounced(evidence)
    flaws["unended"] += [f"{run.operation} {run.run_id}" for run in runs.values() if run.ended is None]
    flaws["untrue"] += [
        f"{each.event_type} {each.run_id} says {each.timestamp}: {why}"
        for each in events.values()
        for why in _untruth(each, runs, evidence)
    ]
    return Verdict(
        runs=len(runs),
        failed=sum(run.fault == "system" for run in runs.values()),
        events=len(events),
        repeated=repeated,
        lost=len(flaws["lost"]),
        doubled=len(flaws["doubled"]),
        out_of_order=len(flaws["order"]),
        unended=len(flaws["unended"]),
        untrue=len(flaws["untrue"]),
        flaws=[f"{kind}: {text}" for kind, texts in flaws.items() for text in texts[:_SHOWN]],
    )


def _expected(evidence: Evidence) -> Counter[Fact]:
    """Return what must be heard: of each run its start and its ending, and the facts."""
    wanted: Counter[Fact] = Counter(evidence.facts)
    for run in evidence.runs:
        wanted[f"dbaas.{run.operation}.start", run.run_id] += 1
        if run.ending is not None:
            wanted[f"dbaas.{run.operation}.{run.ending}", run.run_id] += 1
    return wanted


def _of(event: Arrival) -> Fact:
    """Return what an event is and whose it is: a run's, or an instance's."""
    return event.event_type, event.run_id or str(event.message["payload"].get("instance_id"))


def _compare(who: str, wanted: Counter[Fact], heard: Counter[Fact], flaws: dict[str, list[str]]) -> None:
    """Note what is missing; and what is too much, be it told twice or never true."""
    flaws["lost"] += [f"{who}{' '.join(each)}" for each in (wanted - heard)]
    flaws["doubled"] += [f"{who}{' '.join(each)}" for each in (heard - wanted)]


def _out_of_order(evidence: Evidence, queues: Collection[str]) -> list[str]:
    """Return the runs whose ending came before their start.

    A queue that was away for a while may have missed a start that another one had in time, and get it as a repetition.
    """
    early: set[str] = set()
    in_time: set[str] = set()
    for queue in queues:
        begun: set[str] = set()
        ended: set[str] = set()
        for event in first_arrivals(evidence.heard.get(queue, ())):
            if event.run_id is not None and event.event_type.endswith(".start"):
                begun.add(event.run_id)
                (early if event.run_id in ended else in_time).add(event.run_id)
            elif event.run_id is not None:
                ended.add(event.run_id)
    return sorted(early - in_time)


def _unannounced(evidence: Evidence) -> list[str]:
    """Return the calls that were taken and of which no run tells."""
    told = {run.request_id for run in evidence.runs}
    return [
        f"answered {call.status}: {call.what} {call.request_id}"
        for call in evidence.calls
        if call.is_taken and call.request_id not in told
    ]


def _untruth(event: Arrival, runs: Mapping[str, Run], evidence: Evidence) -> list[str]:
    """Say why the time of an event is not true, if it is not."""
    run = runs.get(event.run_id or "")
    if run is None:
        return []
    skew = timedelta(seconds=evidence.skew_s)
    is_start = event.event_type.endswith(".start")
    reasons = []
    if event.timestamp != (run.began if is_start else run.ended):
        reasons.append(f"the table has {run.began if is_start else run.ended}")
    if event.timestamp > event.at + skew:
        reasons.append(f"it came at {event.at}")
    if not is_start and run.ended is not None and run.ended < run.began:
        reasons.append(f"it began at {run.began}")
    call = next((each for each in evidence.calls if each.request_id == run.request_id), None)
    if is_start and call is not None and not call.began - skew <= event.timestamp <= call.ended + skew:
        reasons.append(f"it was asked for at {call.began}, answered at {call.ended}")
    return reasons
