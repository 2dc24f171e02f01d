from coffer.relay.parking import FORGET_AFTER_S, LONGEST_REST_S, Parking
from coffer.store.outbox import Pending


def row(number: int, run_id: str | None = None) -> Pending:
    return Pending(id=number, run_id=run_id, severity="info", body=b"")


def parking(capacity: int = 100) -> Parking:
    return Parking(capacity=capacity, dice=lambda: 0.0)


def test_a_refused_message_rests_and_comes_back() -> None:
    refused = parking()
    refused.refuse(row(1), 100.0)
    assert refused.excluded(100.9) == {1}
    assert refused.excluded(101.0) == frozenset()


def test_each_refusal_makes_the_rest_longer_up_to_a_limit() -> None:
    refused = parking()
    now_s = 100.0
    for rest_s in (1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_REST_S, LONGEST_REST_S):
        refused.refuse(row(1), now_s)
        assert refused.excluded(now_s + rest_s - 0.1) == {1}
        now_s += rest_s
        assert refused.excluded(now_s) == frozenset()


def test_later_messages_of_the_run_wait_behind_it_and_others_do_not() -> None:
    refused = parking()
    refused.refuse(row(1, "a"), 100.0)
    free = refused.without_those_behind([row(2, "a"), row(3, "b"), row(4)], 100.1)
    assert [each.id for each in free] == [3, 4]
    assert refused.excluded(100.2) == {1, 2}


def test_the_whole_line_comes_back_together() -> None:
    refused = parking()
    refused.refuse(row(1, "a"), 100.0)
    refused.without_those_behind([row(2, "a")], 100.1)
    assert refused.excluded(101.0) == frozenset()
    line = [row(1, "a"), row(2, "a")]
    assert refused.without_those_behind(line, 101.0) == line


def test_messages_without_a_run_wait_for_nobody() -> None:
    refused = parking()
    refused.refuse(row(1), 100.0)
    assert refused.without_those_behind([row(2)], 100.1) == [row(2)]


def test_a_confirmed_message_frees_its_line() -> None:
    refused = parking()
    refused.refuse(row(1, "a"), 100.0)
    refused.without_those_behind([row(2, "a")], 100.1)
    refused.confirmed([row(1, "a")])
    assert len(refused) == 0
    assert refused.excluded(100.2) == frozenset()


def test_what_another_relay_delivered_is_forgotten_at_last() -> None:
    refused = parking()
    refused.refuse(row(1), 100.0)
    refused.excluded(101.1 + FORGET_AFTER_S)
    refused.refuse(row(1), 2000.0)
    assert refused.excluded(2001.0) == frozenset(), "the first rest again, not the second"


def test_suspects_are_released_together_and_stay_suspects() -> None:
    refused = parking()
    for _ in range(5):
        refused.refuse(row(1), 100.0, suspect=True)
    refused.release_suspects(100.1)
    assert refused.excluded(100.1) == frozenset()
    assert refused.is_suspect(row(1))
    assert not refused.is_suspect(row(2))


def test_a_message_that_is_merely_refused_is_no_suspect() -> None:
    refused = parking()
    refused.refuse(row(1), 100.0, suspect=True)
    refused.refuse(row(1), 102.0)
    assert not refused.is_suspect(row(1))


def test_a_full_parking_takes_no_followers_and_says_so() -> None:
    refused = parking(capacity=2)
    refused.refuse(row(1, "a"), 100.0)
    refused.refuse(row(2), 100.0)
    assert refused.is_full
    assert refused.without_those_behind([row(3, "a")], 100.1) == []
    assert refused.excluded(100.2) == {1, 2}
