"""How things are compared: every variant in every round, forwards and then backwards; medians of the rounds' ratios."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sample:
    """What one event cost in one round: µs on the clock, µs of CPU of the process that measures."""

    wall_us: float
    cpu_us: float = 0.0


Measure = Callable[[], Sample]
"""Does the work once and returns the figures of the round."""


@dataclass
class Variant:
    """One way to do the work."""

    name: str
    measure: Measure
    samples: list[Sample] = field(default_factory=list)

    @property
    def wall_us(self) -> float:
        """The median."""
        return statistics.median(sample.wall_us for sample in self.samples)

    @property
    def cpu_us(self) -> float:
        """The median."""
        return statistics.median(sample.cpu_us for sample in self.samples)


@dataclass(frozen=True, slots=True)
class Goal:
    """`limit` is the most that the figure may be, or the least with `at_least`."""

    limit: float
    at_least: bool = False
    unit: str = "\N{MULTIPLICATION SIGN}"

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g} {self.unit}"

    def is_met(self, figure: float) -> bool:
        """Whether `figure` is as it should be."""
        return figure >= self.limit if self.at_least else figure <= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result: what is compared, what was wanted, what came out, and the figures behind it."""

    topic: str
    name: str
    goal: Goal
    figure: float
    spread: tuple[float, float] | None = None
    behind: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached."""
        return self.goal.is_met(self.figure)


@dataclass(frozen=True, slots=True)
class Picture:
    """Figures to draw beside the table: a histogram, by name."""

    title: str
    values_ms: Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Result:
    """What one bench found."""

    rows: Sequence[Row]
    picture: Picture | None = None
    notes: Sequence[str] = ()


def interleave(variants: Sequence[Variant], rounds: int, *, warm_up: bool = True) -> None:
    """Measure each variant once a round, after one round that does not count."""
    for number in range(-1 if warm_up else 0, rounds):
        for variant in reversed(variants) if number % 2 else variants:
            sample = variant.measure()
            if number >= 0:
                variant.samples.append(sample)


def compared(
    topic: str,
    name: str,
    goal: Goal,
    ours: Variant,
    theirs: Variant,
    *,
    of: Callable[[Sample], float] = lambda sample: sample.wall_us,
    theirs_of: Callable[[Sample], float] | None = None,
    is_speed: bool = False,
) -> Row:
    """Return the row that compares cost with cost: the median of the rounds' ratios.

    With `is_speed` the ratio is that of events a second, so theirs by ours.
    """
    pairs = [
        (of(mine), (theirs_of or of)(other)) for mine, other in zip(ours.samples, theirs.samples, strict=True)
    ]
    ratios = [other / mine if is_speed else mine / other for mine, other in pairs]
    mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    behind = (
        f"{1e6 / mine:,.0f}/s against {1e6 / other:,.0f}/s"
        if is_speed
        else f"{mine:,.1f} µs against {other:,.1f} µs"
    )
    return Row(topic, name, goal, statistics.median(ratios), (min(ratios), max(ratios)), behind)


def timed(work: Callable[[], int]) -> Sample:
    """Do `work`, which returns how many events it was, and return what one of them cost."""
    cpu_s, began_s = time.process_time(), time.perf_counter()
    count = work()
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    return Sample(wall_s / count * 1e6, cpu_s / count * 1e6)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which `percent` of `values` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
