"""The cursor passes no message by, in whatever order transactions commit."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.relay.cursor import Cursor
from coffer.store.outbox import Horizon


@dataclass
class Outbox:
    """A table with transactions that overlap, as PostgreSQL shows it to one reader."""

    next_transaction: int = 1
    next_number: int = 1
    active: dict[int, list[int]] = field(default_factory=dict)
    visible: set[int] = field(default_factory=set)

    def begin(self) -> None:
        self.active[self.next_transaction] = []
        self.next_transaction += 1

    def take_number(self, which: int) -> None:
        if self.active:
            sorted(self.active.items())[which % len(self.active)][1].append(self.next_number)
            self.next_number += 1

    def end(self, which: int, *, commits: bool) -> None:
        if self.active:
            transaction = sorted(self.active)[which % len(self.active)]
            numbers = self.active.pop(transaction)
            self.visible.update(numbers if commits else ())

    def horizon(self) -> Horizon:
        return Horizon(oldest=min(self.active, default=self.next_transaction), next=self.next_transaction)


def test_it_follows_what_was_read_when_no_older_transaction_is_left() -> None:
    cursor = Cursor()
    cursor.read(10, Horizon(5, 5), is_complete=False)
    assert cursor.after(None) == 0
    cursor.read(20, Horizon(5, 6), is_complete=False)
    assert cursor.after(None) == 10
    assert cursor.after(8) == 7
    cursor.reset()
    assert cursor.after(None) == 0


def test_a_transaction_that_is_still_open_holds_it() -> None:
    cursor = Cursor()
    cursor.read(10, Horizon(4, 6), is_complete=False)
    cursor.read(20, Horizon(4, 9), is_complete=False)
    assert cursor.after(None) == 0
    cursor.read(30, Horizon(6, 9), is_complete=False)
    assert cursor.after(None) == 10


def test_a_database_that_does_not_tell_holds_it() -> None:
    cursor = Cursor()
    for last in (10, 20, 30):
        cursor.read(last, None, is_complete=True)
    assert cursor.after(None) == 0


moves = st.one_of(
    st.tuples(st.just("begin")),
    st.tuples(st.just("take"), st.integers(0, 5)),
    st.tuples(st.just("end"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("read"), st.integers(1, 4), st.booleans()),
)


@settings(max_examples=300)
@given(st.lists(moves, max_size=80))
def test_no_message_ever_comes_up_below_it(script: list[tuple[Any, ...]]) -> None:
    outbox, cursor, open_ = Outbox(), Cursor(), set[int]()
    for verb, *what in script:
        if verb == "begin":
            outbox.begin()
        elif verb == "take":
            outbox.take_number(*what)
        elif verb == "end":
            outbox.end(what[0], commits=what[1])
        else:
            limit, are_delivered = what
            after = cursor.after(min(open_, default=None))
            assert not [number for number in outbox.visible if number <= after]
            rows = sorted(n for n in outbox.visible if n > after and n not in open_)[:limit]
            if rows:
                cursor.read(rows[-1], outbox.horizon(), is_complete=len(rows) < limit)
            open_.update(rows)
            if are_delivered:
                outbox.visible -= open_
                open_.clear()
