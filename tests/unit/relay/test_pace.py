from coffer.relay.pace import LONGEST_BACKOFF_S, SHORTEST_BACKOFF_S, Pace, backoff_s


def never() -> float:
    return 0.0


def test_the_pause_doubles_up_to_its_limit() -> None:
    pace = Pace(500, dice=never)
    pauses = []
    for _ in range(8):
        pace.failed()
        pauses.append(pace.pause_s())
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]


def test_chance_shortens_a_pause_by_a_third_at_most() -> None:
    longest = backoff_s(1, shortest_s=3.0, longest_s=9.0, dice=lambda: 0.0)
    shortest = backoff_s(1, shortest_s=3.0, longest_s=9.0, dice=lambda: 1.0)
    assert (shortest, longest) == (2.0, 3.0)


def test_the_pause_stays_finite_after_a_year_of_failures() -> None:
    assert backoff_s(10**7, shortest_s=SHORTEST_BACKOFF_S, longest_s=LONGEST_BACKOFF_S) <= LONGEST_BACKOFF_S


def test_trouble_shrinks_the_batch_to_a_probe_and_success_lets_it_grow_again() -> None:
    pace = Pace(500)
    sizes = []
    for _ in range(4):
        pace.failed()
        sizes.append(pace.limit)
    for _ in range(4):
        pace.succeeded()
        sizes.append(pace.limit)
    assert sizes == [62, 7, 1, 1, 8, 64, 500, 500]
