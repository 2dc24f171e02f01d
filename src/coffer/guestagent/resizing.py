"""Another size: the memory of another flavor, a larger volume.

An order that took too long is taken back by the control plane with a second one, and the broker may deliver the
two in any order. So an order carries the moment at which it was given, and an older one than the last that was
carried out is refused; as is one for which nobody waits any more.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from coffer.catalogue.errors import BadRequest, GuestFailed
from coffer.guestagent.shapes import moment_from
from coffer.guestagent.work import Work
from coffer.wire.context import TroveContext


class Resizing:
    """The calls about the size."""

    _work: Work
    _ordered_at: dict[str, datetime]

    def resize(self, ctx: TroveContext, ram_mib: int, asked_at: str, until: str | None = None) -> None:
        """Divide the memory of another flavor; the caller waits until the server serves again."""
        del ctx
        ram_mib = _size(ram_mib, "ram_mib")
        self._in_order("memory", asked_at, until, lambda: self._work.driver.resize(ram_mib))

    def resize_volume(
        self, ctx: TroveContext, volume_gib: int, asked_at: str, until: str | None = None
    ) -> None:
        """Reckon with another size of the volume; the caller waits."""
        del ctx
        volume_gib = _size(volume_gib, "volume_gib")
        self._in_order("volume", asked_at, until, lambda: self._work.driver.resize_volume(volume_gib))

    def _in_order(self, what: str, asked_at: str, until: str | None, change: Callable[[], None]) -> None:
        moment = moment_from(asked_at)
        limit = None if until is None else moment_from(until)

        def unless_overtaken() -> None:
            if limit is not None and datetime.now(UTC) > limit:
                raise GuestFailed(reason=f"The order for another size of the {what} came too late.")
            last = self._ordered_at.get(what)
            if last is not None and moment < last:
                raise GuestFailed(reason=f"A later order for the size of the {what} has been carried out.")
            self._ordered_at[what] = moment
            change()

        self._work.at_once(unless_overtaken)


def _size(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadRequest(reason=f"{name} is not a size.")
    return value
