"""The guest's book: no number twice, whoever is killed when, and nothing believed twice."""

from pathlib import Path

import pytest

from coffer.guestagent.channel_book import NUMBERS_NAME, GuestBook
from coffer.wire.sealed.book import BookUnavailableError, NoChannelError
from coffer.wire.sealed.credentials import FILE_NAME, Credentials, CredentialsInvalid

OLD, NEW = bytes(32), bytes(range(32))


def credentials(**keys: bytes) -> Credentials:
    by_id = {int(name[1:]): key for name, key in keys.items()}
    return Credentials(instance_id="i1", transport_url="rabbit://guest-i1:secret@broker/", keys=by_id)


@pytest.fixture
def guest_dir(tmp_path: Path) -> Path:
    (tmp_path / FILE_NAME).write_text(credentials(k1=OLD).to_json())
    return tmp_path


def test_no_number_is_given_twice_however_often_the_agent_is_killed(guest_dir: Path) -> None:
    given = [GuestBook(guest_dir).outgoing("i1").number for _ in range(3)]
    book = GuestBook(guest_dir)
    given += [book.outgoing("i1").number for _ in range(200)]
    assert len(set(given)) == len(given)
    assert given == sorted(given)


def test_no_number_is_given_twice_though_the_disk_forgot_the_last_ones(guest_dir: Path) -> None:
    book = GuestBook(guest_dir)
    given = {book.outgoing("i1").number}
    on_the_disk = (guest_dir / NUMBERS_NAME).read_text()
    given |= {book.outgoing("i1").number for _ in range(500)}
    (guest_dir / NUMBERS_NAME).write_text(on_the_disk)
    assert GuestBook(guest_dir).outgoing("i1").number > max(given)


def test_what_came_before_the_agent_was_killed_is_not_believed_again(guest_dir: Path) -> None:
    assert GuestBook(guest_dir).accept("i1", 1, 5)
    later = GuestBook(guest_dir)
    assert not later.accept("i1", 1, 5)
    assert later.accept("i1", 1, 4)
    assert later.accept("i1", 1, 6)


def test_a_new_key_is_used_at_once_and_the_old_one_is_still_believed(guest_dir: Path) -> None:
    book = GuestBook(guest_dir)
    assert (book.outgoing("i1").key_id, book.outgoing("i1").key) == (1, OLD)
    book.accept("i1", 1, 7)
    book.renew(credentials(k1=OLD, k2=NEW))
    for each in (book, GuestBook(guest_dir)):
        sent = each.outgoing("i1")
        assert (sent.key_id, sent.key) == (2, NEW)
        assert each.key("i1", 1) == OLD
        assert not each.accept("i1", 1, 7)
    assert book.accept("i1", 2, 7)
    assert sent.number > 64, "the numbers go on"


def test_there_is_one_instance_in_it(guest_dir: Path) -> None:
    book = GuestBook(guest_dir)
    with pytest.raises(NoChannelError):
        book.outgoing("i2")
    assert book.key("i2", 1) is None
    assert not book.accept("i2", 1, 1)
    assert not book.accept("i1", 9, 1)


def test_what_cannot_be_kept_is_neither_sent_nor_believed(guest_dir: Path) -> None:
    book = GuestBook(guest_dir)
    (guest_dir / NUMBERS_NAME).mkdir()
    with pytest.raises(BookUnavailableError):
        book.outgoing("i1")
    with pytest.raises(BookUnavailableError):
        book.accept("i1", 1, 1)
    (guest_dir / NUMBERS_NAME).rmdir()
    assert book.accept("i1", 1, 1)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"reserved": 1, "windows": {"1": [1, "x"]}}'])
def test_a_broken_book_is_not_begun_anew(guest_dir: Path, text: str) -> None:
    (guest_dir / NUMBERS_NAME).write_text(text)
    with pytest.raises(BookUnavailableError):
        GuestBook(guest_dir)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", credentials().to_json(), credentials(k1=b"short").to_json()]
)
def test_credentials_are_complete_or_none(guest_dir: Path, text: str) -> None:
    (guest_dir / FILE_NAME).write_text(text)
    with pytest.raises(CredentialsInvalid):
        GuestBook(guest_dir)


def test_nobody_else_can_read_it_and_nothing_prints_it(guest_dir: Path) -> None:
    book = GuestBook(guest_dir)
    book.outgoing("i1")
    book.renew(credentials(k2=NEW))
    for name in (FILE_NAME, NUMBERS_NAME):
        assert (guest_dir / name).stat().st_mode & 0o777 == 0o600
    assert "secret" not in repr(book.credentials)
    assert "\\x01" not in repr(book.outgoing("i1"))


def test_a_key_that_has_the_number_of_another_one_begins_anew(guest_dir: Path) -> None:
    """A control plane whose database was lost gives numbers of keys that it has given before."""
    assert GuestBook(guest_dir).accept("i1", 1, 5000)
    (guest_dir / FILE_NAME).write_text(credentials(k1=NEW).to_json())
    book = GuestBook(guest_dir)
    assert book.accept("i1", 1, 1)
    assert not book.accept("i1", 1, 1)
