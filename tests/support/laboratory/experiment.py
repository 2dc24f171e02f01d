"""One experiment: a load, a fault, its end, and what became of every run and event."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tests.support.laboratory.load import Load, Probe
from tests.support.laboratory.site import PROJECTS, Laboratory
from tests.support.laboratory.verdict import Verdict, judge
from tests.support.waiting import let_last

WARM_CALLS = 3
WELL_CALLS = 3
WELL_S = 90.0


@dataclass(frozen=True)
class Fault:
    """Something that breaks."""

    name: str
    sentence: str
    strikes: Callable[[Laboratory], AbstractContextManager[None]]
    """Break it; it is broken as long as the block lasts."""
    lasts_s: float = 3.0
    is_fast: bool = False
    prepare: Callable[[Laboratory], None] = lambda _: None
    skew_s: float = 0.0
    """By how much it sets clocks wrong."""
    deletes_queues: bool = False
    """Then each witness misses something, and they are heard together."""


@dataclass(frozen=True)
class Result:
    """What an experiment came to."""

    fault: Fault
    load: str
    verdict: Verdict
    stall_s: float
    answers: int
    refusals: int
    drained_s: float
    """From the end of the load until nothing was left to do or to send."""

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return self.verdict.is_clean and self.answers > 0


def experiment(place: Laboratory, fault: Fault, *, clients_each: int = 2) -> Result:
    """Make one experiment.

    Raises:
        AssertionError: if the control plane does not serve again after the fault.
    """
    place.clear()
    place.mend()
    fault.prepare(place)
    place.mend()
    place.forget()
    probe = Probe(place.coffer.port, PROJECTS[0])
    load = Load(place.coffer.port, place.instances, clients_each=clients_each)
    try:
        with load.under_way():
            load.work(WARM_CALLS, WELL_S, "the load to begin")
            probe.start()
            with fault.strikes(place):
                let_last(fault.lasts_s)
            place.mend()
            load.work(WELL_CALLS, WELL_S, "every client to be served after the fault")
    finally:
        if probe.is_alive():
            probe.stop()
    began_s = time.monotonic()
    place.settle()
    drained_s = time.monotonic() - began_s
    verdict = judge(place.evidence(load.calls, skew_s=fault.skew_s, is_one=fault.deletes_queues))
    return Result(fault, str(load), verdict, probe.longest_s, probe.answers, probe.refusals, drained_s)
