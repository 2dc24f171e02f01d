"""Which numbers of a sender have been seen: the highest, and a bitmap of those below it.

Pure arithmetic. Numbers begin at 1 and may come out of order; what lies further back than the window is refused, since
nobody knows any more whether it came before (the idea of RFC 4303's anti-replay window).
"""

from dataclasses import dataclass

SIZE = 1024
"""How far back a number may lie: more than that are never under way between two parties at a time."""
_MASK = (1 << SIZE) - 1


@dataclass(frozen=True, slots=True)
class Window:
    """What has been seen; bit n of `seen` stands for the number `highest - n`."""

    highest: int = 0
    seen: int = 0

    def accept(self, number: int) -> "Window | None":
        """Return the window with `number` in it, None if that was seen before, is too old, or is no number."""
        if number < 1:
            return None
        ahead = number - self.highest
        if ahead > 0:
            # Shifting by what a sender says would let it name a number that fills the memory.
            kept = self.seen << ahead if ahead < SIZE else 0
            return Window(number, (kept & _MASK) | 1)
        bit = 1 << -ahead if -ahead < SIZE else 0
        if not bit or self.seen & bit:
            return None
        return Window(self.highest, self.seen | bit)

    def to_text(self) -> str:
        """Return the bitmap as at most `SIZE / 4` hexadecimal digits."""
        return f"{self.seen:x}"

    @classmethod
    def from_text(cls, highest: int, seen: str) -> "Window":
        """Read what was kept.

        Raises:
            ValueError: it is something else.
        """
        bits = int(seen, 16)
        if highest < 0 or not 0 <= bits <= _MASK:
            raise ValueError("no window")
        return cls(highest, bits)
