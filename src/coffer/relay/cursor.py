"""From where the outbox must be read: below the cursor no message waits, and none will ever come. Pure.

Why there is one. PostgreSQL keeps what was deleted for as long as an old snapshot may look at it (a dump, a forgotten
transaction), and whoever reads from the very beginning walks over all of it each time.

Why it is safe. Numbers are given out in order, but a transaction may commit after others that took later numbers; a
cursor that simply follows what was read would pass its messages by, and then the ending of a run could leave before
its start. So the cursor follows only when two things are known. First, that no transaction is left that took a number
below it: a snapshot that was taken when every transaction of an earlier one had ended (`Horizon`) shows everything that
the numbers read in the earlier one leave out. A transaction gets its own number before it takes one for a message,
since it writes the run first. Second, that each message below it is deleted.
"""

from coffer.store.outbox import Horizon


class Cursor:
    """The place that reading begins after."""

    def __init__(self) -> None:
        self._known = 0
        """Every message up to here that will ever be was read."""
        self._highest = 0
        """The highest number that was ever read."""
        self._mark: tuple[int, int] | None = None
        """The last number of an earlier reading, and the first transaction that had not begun then."""

    def after(self, lowest: int | None) -> int:
        """Return the number to read after, where `lowest` is the first of those that were read and are not deleted."""
        return self._known if lowest is None else min(self._known, lowest - 1)

    def read(self, last: int, horizon: Horizon | None, *, is_complete: bool) -> None:
        """Note that everything visible up to the number `last` has been read, in a snapshot with `horizon`.

        `is_complete` means that nothing visible comes after it either. Without a horizon (a database that does not
        tell) the cursor stays where it is.
        """
        self._highest = max(self._highest, last)
        if horizon is None:
            return
        reached = self._highest if is_complete else last
        if self._mark is not None and horizon.oldest >= self._mark[1] and reached >= self._mark[0]:
            self._known, self._mark = self._mark[0], None
        if self._mark is None:
            self._mark = reached, horizon.next

    def reset(self) -> None:
        """Go back to the very beginning."""
        self._known, self._highest, self._mark = 0, 0, None
