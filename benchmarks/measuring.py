"""How things are compared: every variant in every round, forwards and then backwards; medians of ratios."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Measure = Callable[[], float]
"""Does the work once and returns the figure of the round."""


@dataclass
class Variant:
    """One way to do the work."""

    name: str
    measure: Measure
    figures: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The figure to show."""
        return statistics.median(self.figures)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest figure."""
        return min(self.figures), max(self.figures)

    def ratio_to(self, other: "Variant") -> float:
        """Return the median of the rounds' ratios: what disturbs a round disturbs both."""
        return statistics.median(
            mine / theirs for mine, theirs in zip(self.figures, other.figures, strict=True)
        )


@dataclass
class Group:
    """Variants of the same work, and in which unit they are measured.

    `yardsticks` are those of them that the others are compared with, by a short name.
    """

    title: str
    unit: str
    variants: Sequence[Variant]
    yardsticks: Mapping[str, Variant]

    def round(self, *, backwards: bool) -> None:
        """Measure each variant once."""
        for variant in reversed(self.variants) if backwards else self.variants:
            variant.figures.append(variant.measure())


def play(groups: Sequence[Group], rounds: int, tell: Callable[[str], None]) -> None:
    """Measure everything `rounds` times, after one round that does not count."""
    for number in range(rounds + 1):
        began_s = time.perf_counter()
        for group in groups:
            group.round(backwards=bool(number % 2))
        if number == 0:
            for variant in (variant for group in groups for variant in group.variants):
                variant.figures.clear()
        tell(f"round {number} of {rounds}: {time.perf_counter() - began_s:.1f} s")
