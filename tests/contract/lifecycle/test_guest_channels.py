"""The control plane's book of the guests' channels, on each database: no number twice, whoever asks when."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from coffer.lifecycle.guest_channels import GuestChannels, new_secret
from coffer.store.database import Database
from coffer.wire.sealed.book import BookUnavailableError, NoChannelError

SHOP, BOOKS = "5e0b3a4c-0000-4000-8000-000000000001", "5e0b3a4c-0000-4000-8000-000000000002"


@pytest.fixture
def channels(database: Database) -> GuestChannels:
    made = GuestChannels(database, [new_secret()])
    made.enrol(SHOP)
    return made


def test_no_number_is_given_or_believed_twice_in_several_threads(channels: GuestChannels) -> None:
    with ThreadPoolExecutor(6) as pool:
        given = list(pool.map(lambda _: channels.outgoing(SHOP).number, range(60)))
        believed = list(pool.map(lambda number: channels.accept(SHOP, 1, number), [*given, *given]))
    assert sorted(given) == list(range(1, 61))
    assert believed.count(True) == 60


def test_a_key_is_offered_beside_the_old_one_until_the_guest_uses_it(channels: GuestChannels) -> None:
    old = channels.enrol(SHOP)
    new = channels.begin_rotation(SHOP)
    assert channels.begin_rotation(SHOP) == new
    assert (new.key_id, channels.outgoing(SHOP).key_id) == (2, 1)
    assert channels.accept(SHOP, 1, 5)
    assert channels.keys(SHOP) == {1: old.key, 2: new.key}
    assert channels.accept(SHOP, 2, 5)
    assert channels.keys(SHOP) == {2: new.key}
    assert (channels.key(SHOP, 1), channels.accept(SHOP, 1, 6)) == (None, False)
    assert (channels.outgoing(SHOP).key, channels.outgoing(SHOP).number) == (new.key, 2)


def test_who_is_struck_off_is_nobody(channels: GuestChannels) -> None:
    assert channels.remove(SHOP)
    assert not channels.remove(SHOP)
    assert (channels.key(SHOP, 1), channels.accept(SHOP, 1, 1)) == (None, False)
    with pytest.raises(NoChannelError):
        channels.outgoing(SHOP)


def test_secrets_are_changed_without_the_guests(channels: GuestChannels, database: Database) -> None:
    secrets = [new_secret(), new_secret()]
    channels.remove(SHOP)
    before = GuestChannels(database, secrets[1:])
    given = before.enrol(SHOP)
    assert GuestChannels(database, secrets).rewrap() == 1
    assert GuestChannels(database, secrets[:1]).enrol(SHOP) == given
    with pytest.raises(BookUnavailableError):
        before.outgoing(SHOP)


def test_secrets_are_changed_one_guest_at_a_time_and_one_that_fails_is_named(database: Database) -> None:
    """In one transaction for all, the messages of every guest would wait for the last."""
    old, new = new_secret(), new_secret()
    given = GuestChannels(database, [old]).enrol(SHOP)
    GuestChannels(database, [new_secret()]).enrol(BOOKS)
    with pytest.raises(BookUnavailableError, match=BOOKS):
        GuestChannels(database, [new, old]).rewrap()
    assert GuestChannels(database, [new]).keys(SHOP) == {given.key_id: given.key}


def test_a_key_that_cannot_be_read_is_that_guest_s_trouble_only(
    channels: GuestChannels, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    books = GuestChannels(database, [new_secret()]).enrol(BOOKS)
    with caplog.at_level(logging.ERROR):
        assert channels.key(BOOKS, books.key_id) is None
    assert "secrets lack the one" in caplog.text
    assert channels.key(SHOP, 1) is not None
