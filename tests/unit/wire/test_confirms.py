"""The books of a confirmed channel."""

from hypothesis import given
from hypothesis import strategies as st

from coffer.wire.confirms import Confirms


def _with(count: int, copies: int = 1) -> tuple[Confirms, set[int]]:
    books, confirmed = Confirms(), set[int]()
    books.begin(confirmed)
    for message_id in range(100, 100 + count):
        for _ in range(copies):
            books.expect(message_id)
    return books, confirmed


def test_an_ack_confirms_one_message() -> None:
    books, confirmed = _with(3)

    books.on_ack(2, False)

    assert (confirmed, books.outstanding) == ({101}, 2)


def test_a_multiple_ack_confirms_all_up_to_its_tag() -> None:
    books, confirmed = _with(5)

    books.on_ack(2, False)
    books.on_ack(3, True)

    assert (confirmed, books.outstanding) == ({100, 101, 102}, 2)


def test_a_multiple_ack_of_tag_zero_confirms_all() -> None:
    books, confirmed = _with(3)

    books.on_ack(0, True)

    assert (confirmed, books.outstanding) == ({100, 101, 102}, 0)


def test_a_nack_confirms_nothing() -> None:
    books, confirmed = _with(3)

    books.on_nack(2, True)
    books.on_ack(3, False)

    assert (confirmed, books.refused, books.outstanding) == ({102}, {100, 101}, 0)


def test_a_returned_message_is_not_confirmed_by_the_ack_that_follows() -> None:
    books, confirmed = _with(2)

    books.on_return("100")
    books.on_ack(2, True)

    assert (confirmed, books.refused) == ({101}, {100})


def test_a_return_of_something_foreign_is_ignored() -> None:
    books, confirmed = _with(1)

    for strange in ("", "x", "-1", "²"):
        books.on_return(strange)
    books.on_ack(1, False)

    assert confirmed == {100}


def test_a_message_under_two_keys_is_confirmed_when_both_are() -> None:
    books, confirmed = _with(2, copies=2)

    books.on_ack(1, False)
    assert confirmed == set()
    books.on_ack(4, True)

    assert confirmed == {100, 101}


def test_a_message_refused_under_one_of_two_keys_is_not_confirmed() -> None:
    books, confirmed = _with(1, copies=2)

    books.on_nack(1, False)
    books.on_ack(2, False)

    assert (confirmed, books.refused, books.outstanding) == (set(), {100}, 0)


def test_tags_that_are_not_expected_change_nothing() -> None:
    books, confirmed = _with(1)

    books.on_ack(1, False)
    books.on_ack(1, False)
    books.on_nack(7, False)

    assert (confirmed, books.refused, books.answered) == ({100}, set(), 1)


def test_a_new_channel_counts_from_one_and_owes_nothing_of_the_old() -> None:
    books, _ = _with(3)
    books.restart()
    confirmed = set[int]()
    books.begin(confirmed)

    books.expect(9)
    books.on_ack(1, False)

    assert (confirmed, books.outstanding) == ({9}, 0)


ANSWERS = st.lists(
    st.tuples(st.sampled_from(["ack", "nack"]), st.integers(0, 12), st.booleans()), max_size=30
)


@given(ANSWERS)
def test_nothing_is_confirmed_that_was_not_acked(answers: list[tuple[str, int, bool]]) -> None:
    books, confirmed = _with(10)
    open_tags = set(range(1, 11))
    acked: set[int] = set()
    for kind, tag, multiple in answers:
        meant = {each for each in open_tags if each == tag or (multiple and (each <= tag or tag == 0))}
        open_tags -= meant
        if kind == "ack":
            acked |= meant
            books.on_ack(tag, multiple)
        else:
            books.on_nack(tag, multiple)

    assert confirmed == {tag + 99 for tag in acked}
    assert books.outstanding == len(open_tags)
