from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from coffer.relay.waves import waves
from coffer.store.outbox import Pending

run_ids = st.one_of(st.none(), st.sampled_from([f"run-{number}" for number in range(6)]))


def batch(owners: list[str | None]) -> list[Pending]:
    return [
        Pending(id=number, run_id=owner, severity="info", body=b"") for number, owner in enumerate(owners, 1)
    ]


def test_two_runs_need_two_waves_and_not_four() -> None:
    one, two, three, four, five = batch(["a", "b", "a", "b", None])
    assert waves([one, two, three, four, five]) == [[one, two, five], [three, four]]


def test_an_empty_batch_has_no_wave() -> None:
    assert waves([]) == []


@given(st.lists(run_ids, max_size=60))
def test_every_message_is_in_exactly_one_wave(owners: list[str | None]) -> None:
    rows = batch(owners)
    assert sorted(row.id for wave in waves(rows) for row in wave) == [row.id for row in rows]


@given(st.lists(run_ids, max_size=60))
def test_no_wave_has_two_messages_of_a_run_and_the_waves_keep_their_order(owners: list[str | None]) -> None:
    place = {row.id: number for number, wave in enumerate(waves(batch(owners))) for row in wave}
    for owner in {owner for owner in owners if owner is not None}:
        places = [place[row.id] for row in batch(owners) if row.run_id == owner]
        assert all(earlier < later for earlier, later in pairwise(places))


@given(st.lists(run_ids, max_size=60))
def test_there_are_no_more_waves_than_the_longest_run_has_messages(owners: list[str | None]) -> None:
    longest = max([owners.count(owner) for owner in owners if owner is not None], default=0)
    assert len(waves(batch(owners))) == max(longest, 1 if owners else 0)


@given(st.lists(run_ids, max_size=60))
def test_within_a_wave_the_order_of_the_outbox_is_kept(owners: list[str | None]) -> None:
    for wave in waves(batch(owners)):
        assert [row.id for row in wave] == sorted(row.id for row in wave)
