"""Bodies: what is refused names the field, and a password is in no text about it."""

import pytest

from coffer.api.bodies import CreateInstance, Databases, NewUser, Users
from coffer.api.secret import Secret
from coffer.api.validation import label_problem, only_member, read_body
from coffer.catalogue.errors import BadRequest

SENTENCES = [
    (b'{"databases": 5}', "databases: expected array, got int."),
    (b'{"databases": [{}]}', "databases[0]: object missing required field name."),
    (b'{"databases": [{"name": "a"}, {"name": null}]}', "databases[1].name: expected str, got null."),
    (b'{"databases": [{"name": "a", "title": 1}]}', "databases[0]: object contains unknown field title."),
    (b"[]", "body: expected object, got array."),
    (b"{", "The body is not valid JSON in UTF-8."),
    (b"", "The request needs a body: a JSON object."),
]


@pytest.mark.parametrize(("raw", "sentence"), SENTENCES)
def test_a_refusal_names_the_field(raw: bytes, sentence: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        read_body(raw, Databases)
    assert refusal.value.message == sentence


def test_a_password_masks_itself_wherever_it_is_printed() -> None:
    users = read_body(b'{"users": [{"name": "ann", "password": "hunter2"}]}', Users)

    (user,) = users.users
    assert user.password.reveal() == "hunter2"
    for text in (f"{users}", f"{users!r}", f"{user.password}", f"{[user.password]}", "%s" % user.password):  # noqa: UP031
        assert "hunter2" not in text
        assert "***" in text
    assert NewUser(name="ann", password=Secret("hunter2")) == user


@pytest.mark.parametrize("password", [b"5", b"null", b"true", b'["hunter2"]', b'{"a": "hunter2"}'])
def test_a_password_of_the_wrong_type_is_not_quoted(password: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        read_body(b'{"users": [{"name": "ann", "password": ' + password + b"}]}", Users)
    assert refusal.value.message.startswith("users[0].password: expected str")
    assert "hunter2" not in refusal.value.message


def test_what_the_client_leaves_out_has_its_default() -> None:
    asked = read_body(
        b'{"instance": {"name": "x", "volume": {"size": 1, "type": null}}}', CreateInstance
    ).instance

    assert (asked.databases, asked.users, asked.datastore, asked.access) == ([], [], None, None)


@pytest.mark.parametrize(
    ("raw", "member"),
    [
        (b'{"restart": {}}', "restart"),
        (b'{"a": 1, "b": 2}', None),
        (b"{}", None),
        (b"[1]", None),
        (b"", None),
        (b'{"a": \xff}', None),
        (b"[" * 100_000, None),
    ],
)
def test_only_a_single_member_is_an_action(raw: bytes, member: str | None) -> None:
    assert only_member(raw) == member


@pytest.mark.parametrize("text", ["shop", "a" * 255, "Bücher 本 🛒", "'; --", "👩\u200d💻"])
def test_a_label_may_hold_what_people_write(text: str) -> None:
    assert label_problem(text) is None


@pytest.mark.parametrize(
    "text", ["", "  ", "\u3000", "a" * 256, "a\0", "a\nb", "a\x7f", "a\u2028b", "\ud800"]
)
def test_a_label_is_visible_on_one_line(text: str) -> None:
    assert label_problem(text)
